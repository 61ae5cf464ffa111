"""The environment of a child: this process's own, without what a shell sets up for its user's own services and runs.

A service, a Redis or a Locust that the kit starts is what its owner asked for. A REDIS_URL in the shell must not
send a demo to somebody's real board, nor a LEADERBOARD_MAX_POINTS or a LOCUST_USERS change what is measured.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

NAMES: Final = frozenset({"REDIS_URL", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS"})
PREFIXES: Final = ("LEADERBOARD_", "LOCUST_", "UVICORN_")


def child_environment(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables for a child; what its owner has `given` is kept, whatever its name."""
    kept = {name: value for name, value in os.environ.items() if not is_of_the_user(name)}
    return {**kept, **(given or {})}


def is_of_the_user(name: str) -> bool:
    """Whether a variable of this name sets up a service or a run of the user's own."""
    return name in NAMES or name.startswith(PREFIXES)
