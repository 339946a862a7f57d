"""The kernel: everything between a socket and a service, and between a service and the store."""
