"""The swarm: players that score, watch, and measure how late the last screen is."""
