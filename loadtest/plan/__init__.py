"""The plan of a run: its spec, its scenario, and when each player scores."""
