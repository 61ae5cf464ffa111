"""Why frames were refused, in the log: for each error code one line in ten seconds, however many there were."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from service.core.errors import ErrorCode, Failure

EVERY: Final = 10.0  # seconds between two lines about one code
LONGEST: Final = 200  # characters of what a client sent

log = logging.getLogger("leaderboard.connection")


@dataclass(slots=True)
class _Said:
    at: float
    unsaid: int = 0


class RefusalLog:
    """Logs refusals of all connections of this process. What a client sent is written as a literal, shortened."""

    def __init__(self) -> None:
        self._said: dict[ErrorCode, _Said] = {}

    def note(self, failure: Failure, session_id: str | None, user_id: str | None, now: float) -> None:
        """Log the refusal, unless a line about its code was written shortly before `now` (seconds, monotonic)."""
        said = self._said.get(failure.code)
        if said is not None and now - said.at < EVERY:
            said.unsaid += 1
            return
        more = f" (and {said.unsaid} more since the last such line)" if said is not None and said.unsaid else ""
        self._said[failure.code] = _Said(now)
        who = f"user {user_id!r} in {session_id!r}" if user_id is not None else "a socket that does not play"
        log.info("refused a frame of %s: %s: %s%s", who, failure.code, ascii(failure.message)[:LONGEST], more)
