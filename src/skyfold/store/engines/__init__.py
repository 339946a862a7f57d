"""The storage engines. Only the server names one."""
