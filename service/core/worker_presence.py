"""Who is connected where: each worker publishes its own users and watched sessions, and follows those of the others.

Presence is published, not stored: a worker numbers its changes (`turn`), sends each one, and repeats the number
in every heartbeat. A worker that missed a change notices within a heartbeat and asks for the whole roster. A worker
that has been silent for `SILENCE` seconds is gone, and so are its users. Nothing has to be cleaned up.

Messages are JSON arrays: `[kind, worker, …]`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from service.core.stream_messages import WATCHERS, Message

SILENCE: Final = 10.0  # seconds

Place = tuple[str, str]  # session, user


@dataclass(frozen=True, slots=True)
class Came:
    """A user has a connection at another worker; `again` if it was known and has a new name."""

    session_id: str
    user_id: str
    username: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class Went:
    """A user has no more connections at that worker."""

    session_id: str
    user_id: str


@dataclass(slots=True)
class _Worker:
    heard_at: float
    turn: int = -1
    users: dict[Place, str] = field(default_factory=dict)


class Presence:
    """The users of this worker and of the others."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._connections: dict[Place, int] = {}
        self._names: dict[Place, str] = {}
        self._turn = 0
        self._changes: dict[Place, str | None] = {}
        self._others: dict[str, _Worker] = {}
        self._listening_since = math.inf  # monotonic seconds

    # Users of this worker

    def enter(self, session_id: str, user_id: str, username: str) -> None:
        """Add a connection of the user and set the name."""
        place = (session_id, user_id)
        self._connections[place] = self._connections.get(place, 0) + 1
        self.call(session_id, user_id, username)

    def call(self, session_id: str, user_id: str, username: str) -> None:
        """Set the user's name."""
        place = (session_id, user_id)
        if self._names.get(place) != username:
            self._names[place] = self._changes[place] = username

    def exit(self, session_id: str, user_id: str) -> None:
        """Remove one connection of the user."""
        place = (session_id, user_id)
        self._connections[place] -= 1
        if not self._connections[place]:
            del self._connections[place], self._names[place]
            self._changes[place] = None

    # Watchers

    def watch(self, session_id: str) -> None:
        """Add a watcher of the session at this worker."""
        self.enter(session_id, WATCHERS, "")

    def unwatch(self, session_id: str) -> None:
        """Remove one watcher."""
        self.exit(session_id, WATCHERS)

    def watched(self, session_id: str) -> bool:
        """Whether somebody watches the session, at any worker."""
        place = (session_id, WATCHERS)
        return place in self._connections or any(place in other.users for other in self._others.values())

    # Messages to the other workers

    @property
    def changed(self) -> bool:
        """Whether there are `changes` to send."""
        return bool(self._changes)

    def changes(self) -> Message:
        """The message with all changes since the last call."""
        changes, self._changes = self._changes, {}
        self._turn += 1
        return ["changes", self._worker, self._turn, [[*place, name] for place, name in changes.items()]]

    def beat(self) -> Message:
        """The heartbeat: this worker is alive, and the number of its last change."""
        return ["beat", self._worker, self._turn]

    def roster(self) -> Message:
        """All users connected here. Changes that are not sent yet may repeat some of it, which does no harm."""
        return ["roster", self._worker, self._turn, [[*place, name] for place, name in self._names.items()]]

    def goodbye(self) -> Message:
        """The message that this worker stops."""
        return ["bye", self._worker]

    def question(self, worker: str) -> Message:
        """The request for a worker's roster; `*` asks all workers."""
        return ["who", self._worker, worker]

    # Messages from the other workers

    def hear(self, message: Message, now: float) -> tuple[list[Came | Went], Message | None]:
        """Process another worker's message; return the changes and the answer to send, if any."""
        changes: list[Came | Went] = []
        answer: Message | None = None
        match message:
            case [_, self._worker, *_]:
                pass
            case ["who", _, asked]:
                answer = self.roster() if asked in {self._worker, "*"} else None
            case ["bye", sender]:
                changes = self._forget(sender)
            case ["beat", sender, turn]:
                answer = None if turn == self._other(sender, now).turn else self.question(sender)
            case ["changes", sender, turn, listed]:
                other = self._other(sender, now)
                if turn == other.turn + 1:
                    other.turn = turn
                    changes = [one for change in listed for one in self._change(other, *change)]
                else:
                    answer = self.question(sender)
            case ["roster", sender, turn, listed]:
                other = self._other(sender, now)
                other.turn = turn
                there = {(session_id, user_id) for session_id, user_id, _ in listed}
                gone = [(*place, None) for place in other.users if place not in there]
                changes = [one for change in [*gone, *listed] for one in self._change(other, *change)]
            case _:
                raise ValueError(f"expected a message about presence, got {str(message)[:100]}")
        return changes, answer

    def expire(self, now: float) -> list[Came | Went]:
        """Forget the workers that have been silent for too long."""
        silent = [worker for worker, other in self._others.items() if now - other.heard_at > SILENCE]
        return [one for worker in silent for one in self._forget(worker)]

    def excuse(self, now: float) -> None:
        """Restart the count of silence for all workers, after a time in which no message could arrive."""
        self._listening_since = now
        for other in self._others.values():
            other.heard_at = now

    def is_gone(self, worker: str, now: float) -> bool:
        """Whether the worker has stopped, as far as can be told: one that lives would have been heard."""
        if worker == self._worker or worker in self._others:
            return False
        return now - self._listening_since > SILENCE

    def elsewhere(self, session_id: str) -> Iterator[Came]:
        """The session's users at the other workers."""
        for other in self._others.values():
            for (session, user_id), name in other.users.items():
                if session == session_id and user_id != WATCHERS:
                    yield Came(session, user_id, name)

    def _other(self, worker: str, now: float) -> _Worker:
        """The worker that just sent a message."""
        other = self._others.setdefault(worker, _Worker(now))
        other.heard_at = now
        return other

    def _change(self, other: _Worker, session_id: str, user_id: str, name: str | None) -> list[Came | Went]:
        place = (session_id, user_id)
        before = other.users.pop(place, None)
        if name is not None:
            other.users[place] = name
        if user_id == WATCHERS or name == before:
            return []
        return [Went(*place)] if name is None else [Came(*place, name, again=before is not None)]

    def _forget(self, worker: str) -> list[Came | Went]:
        other = self._others.pop(worker, None)
        return [] if other is None else [Went(*place) for place in other.users if place[1] != WATCHERS]
