"""The swarm: who plays, when each means to score, and the processes that play it."""
