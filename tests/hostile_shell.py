"""The tests that start a process, in a shell as hostile as shells get: `nox -s hostile_shell`.

- Its variables set up somebody else's service, Redis and Locust, and a proxy that answers everything with 403.
- Its locale is C, and its HOME cannot be written, not even by root: a file is in its place.
- The checkout's path has a comma, a blank and an umlaut.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOWHERE = "redis://127.0.0.1:1/0"
OTHER_SETUP = {
    "REDIS_URL": NOWHERE,
    "WEB_CONCURRENCY": "3",
    "FORWARDED_ALLOW_IPS": "*",
    "LEADERBOARD_ADMIN_TOKEN": "somebody-elses-token",
    "LEADERBOARD_BURST": "1",
    "LEADERBOARD_HOST": "0.0.0.0",
    "LEADERBOARD_LOG_JSON": "1",
    "LEADERBOARD_MAX_CONNECTIONS": "1",
    "LEADERBOARD_MAX_POINTS": "1",
    "LEADERBOARD_PORT": "tcp://10.0.0.7:8000",
    "LEADERBOARD_RATE": "0.1",
    "LEADERBOARD_REDIS_URL": NOWHERE,
    "LEADERBOARD_TICK_MS": "9999",
    "LEADERBOARD_WORKERS": "4",
    "LOCUST_USERS": "7",
    "UVICORN_PORT": "1",
}
NOT_COPIED = shutil.ignore_patterns(".git", ".nox", ".venv", "venv", "*.egg-info", "__pycache__", ".*_cache")


class _Refusal(BaseHTTPRequestHandler):
    def __getattr__(self, name: str) -> object:
        if name.startswith("do_"):
            return lambda: self.send_error(403, "this proxy lets nothing through")
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def refusing_proxy() -> Iterator[str]:
    """A proxy on loopback that answers every request with 403."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def main(arguments: Sequence[str]) -> int:
    """Run pytest in it; return its exit status."""
    with tempfile.TemporaryDirectory() as folder, refusing_proxy() as proxy:
        checkout = Path(folder) / "board, für alle"
        shutil.copytree(ROOT, checkout, ignore=NOT_COPIED)
        home = Path(folder) / "home"
        home.touch()
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), proxy)
        path = os.pathsep.join([str(checkout), str(checkout / "notebooks")])
        variables = OTHER_SETUP | proxies | {"HOME": str(home), "LC_ALL": "C", "PYTHONPATH": path}
        command = [sys.executable, "-m", "pytest", *arguments]
        return subprocess.run(command, cwd=checkout, env=os.environ | variables, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
