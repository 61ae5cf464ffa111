"""The service under test: its process, its HTTP calls, and the sockets that this process may open."""
