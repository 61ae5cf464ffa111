"""When a client of the service reconnects: which close codes are final, and how long to wait before an attempt.

Pure: no sockets, no clock, no event loop, so that gevent and asyncio clients share one policy.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

TOO_MANY_WRONG: Final = 4400
FOREIGN: Final = 4403
TOO_FAST: Final = 4429
NEVER_RETRY: Final[Mapping[int, str]] = MappingProxyType(
    {TOO_MANY_WRONG: "it got too many wrong frames", FOREIGN: "it does not accept this origin"}
)  # close code → why the service closes with it
FIRST_WAIT: Final = 0.5  # seconds
LONGEST_WAIT: Final = 10.0  # seconds
WAIT_WHEN_TOO_FAST: Final = 5.0  # seconds that the wire contract demands after `TOO_FAST`


def closed_permanently(close_code: int | None) -> str | None:
    """Why the service does not want this client back, in words; None when a client should reconnect."""
    if close_code is None or close_code not in NEVER_RETRY:
        return None
    return f"the service closed a connection permanently ({close_code}): {NEVER_RETRY[close_code]}"


def wait_before(attempt: int, close_code: int | None, rng: random.Random) -> float:
    """Seconds to wait before connection attempt `attempt`; 0 is the first after a lost connection.

    Full jitter, doubling from 0.5 s to 10 s, so that an audience does not reconnect all at once. `close_code`
    is that of the lost connection, None if there was none; `TOO_FAST` adds the seconds that the service demands.
    """
    jitter = rng.uniform(0.0, min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(attempt, 16)))
    return jitter + WAIT_WHEN_TOO_FAST if close_code == TOO_FAST else jitter
