"""Reading a score log, and playing it through real sockets."""
