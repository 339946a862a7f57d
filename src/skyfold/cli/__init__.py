"""The command line. It knows only the public API, like any other client."""
