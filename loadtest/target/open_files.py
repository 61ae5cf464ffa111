"""How many sockets this process may open."""

from __future__ import annotations

import contextlib
import math
import resource
from typing import Final

SPARE_FILES = 64  # descriptors that are no player's
# Below an infinite hard limit; 10,240 is macOS' OPEN_MAX.
STEPS: Final = (1_048_576, 524_288, 262_144, 131_072, 65_536, 32_768, 16_384, 10_240, 4096, 2048)


class TooManySockets(Exception):
    """More sockets are wanted than the system lets this process have."""


def raise_file_limit(sockets: int) -> None:
    """Raise the limit of open files as far as the system grants. Raises `TooManySockets` when that is not enough."""
    granted = _raised()
    needed = sockets + SPARE_FILES
    if needed > granted:
        raise TooManySockets(
            f"expected at most {granted - SPARE_FILES:.0f} sockets, as this process may open {granted:.0f} files, "
            f"got {sockets}; `ulimit -Hn {needed}` raises the limit (as root, in the shell that starts this)"
        )


def _raised() -> float:
    """The limit, raised to the hard one or, where the system refuses that, to the highest step it grants.

    macOS calls its hard limit infinite and refuses it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, *STEPS):
        if _number(soft) < _number(wanted) <= _number(hard):
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
                return _number(wanted)
    return _number(soft)


def _number(limit: int) -> float:
    return math.inf if limit == resource.RLIM_INFINITY else limit
