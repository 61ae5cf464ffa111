"""The messages that the players of a process send, and the numbers of their updates.

They are written by hand, for speed; tests/loadtest/swarm/test_outbox.py decodes them with the service's models.
"""

from __future__ import annotations

import random
from typing import Any

from loadtest import access


class Outbox:
    """Numbers updates from 0. An `opId` is this run's prefix and the number, so an answer leads back to its update."""

    def __init__(self) -> None:
        self.sent = 0
        self.answered = 0
        self._prefix = f"{random.SystemRandom().getrandbits(40):010x}-"

    def next_update(self) -> tuple[int, str]:
        """Number and `opId` of one more update."""
        number, self.sent = self.sent, self.sent + 1
        return number, f"{self._prefix}{number:x}"

    def number_of(self, op_id: object) -> int | None:
        """The number of the update with this `opId`, None when another client sent it."""
        if not isinstance(op_id, str) or not op_id.startswith(self._prefix):
            return None
        return int(op_id.removeprefix(self._prefix), 16)


def update_text(points: int, op_id: str) -> bytes:
    """The `update-score` message."""
    return b'{"type":"update-score","data":{"points":%d,"opId":"%s"}}' % (points, op_id.encode())


def join_message(user_id: str, session_id: str, username: str) -> dict[str, Any]:
    """The `join-demo` message, before it is made JSON."""
    who = {"userId": user_id, "sessionId": session_id, "username": username}
    return {"type": "join-demo", "data": who | {"secret": access.player_secret()}}


def watch_message(session_id: str) -> dict[str, Any]:
    """The `watch-demo` message, before it is made JSON."""
    return {"type": "watch-demo", "data": {"sessionId": session_id}}
