"""How many files this process may open; every socket is one."""

from __future__ import annotations

import contextlib
import math
import resource
from typing import Final

# Below an infinite hard limit; 10,240 is macOS' OPEN_MAX.
STEPS: Final = (1_048_576, 524_288, 262_144, 131_072, 65_536, 32_768, 16_384, 10_240, 4096, 2048)


def raise_file_limit() -> float:
    """Raise the limit as far as the system grants; return what it is then, `math.inf` for none.

    The hard limit is what the system may grant, not what it does: macOS calls its own infinite and refuses it.
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
