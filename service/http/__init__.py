"""HTTP: the REST calls, the route of the socket, who may call, and the documents that describe both."""
