"""Why frames were refused, in the log: for each error code one line in ten seconds, however many there were."""

from __future__ import annotations

import logging
from typing import Final

from service.core.errors import Failure
from service.core.line_budget import LineBudget

LONGEST: Final = 200  # characters of what a client sent

log = logging.getLogger("leaderboard.connection")


class RefusalLog:
    """Logs refusals of all connections of this process. What a client sent is written as a literal, shortened."""

    def __init__(self) -> None:
        self._budget = LineBudget()

    def note(self, failure: Failure, session_id: str | None, user_id: str | None, now: float) -> None:
        """Log the refusal, unless a line about its code was written shortly before `now` (seconds, monotonic)."""
        more = self._budget.more(failure.code, now)
        if more is None:
            return
        who = f"user {user_id!r} in {session_id!r}" if user_id is not None else "a socket that does not play"
        log.info(
            "refused a frame of %s: %s: %s%s",
            who,
            failure.code,
            ascii(failure.message)[:LONGEST],
            more,
            extra={"event": "refused-frame", "session": session_id, "user": user_id, "code": str(failure.code)},
        )
