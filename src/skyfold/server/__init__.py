"""The composition root: settings, engine, services, sockets, loops, shutdown."""
