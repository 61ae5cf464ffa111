"""A compact WebSocket leaderboard: score → board → everyone's screen."""

__version__ = "0.1.0"
