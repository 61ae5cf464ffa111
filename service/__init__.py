"""A compact WebSocket leaderboard: score → board → everyone's screen."""

import sys

if sys.platform == "win32":  # said before anything else is imported, which may not be there
    sys.stderr.write("leaderboard: expected Linux or macOS, got Windows; it runs in WSL 2 as it does on Linux\n")
    raise SystemExit(2)

__version__ = "0.1.0"
