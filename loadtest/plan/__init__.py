"""What a run is asked to do: its spec, its scenario, and when each player scores."""
