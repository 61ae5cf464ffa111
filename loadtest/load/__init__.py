"""A run from its start to its verdict: the service it is sent at, Locust's processes, and who leads them."""
