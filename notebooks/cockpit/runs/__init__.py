"""A load test that runs, and what its file says so far."""
