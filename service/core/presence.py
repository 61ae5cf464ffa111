"""Who is connected where: each worker tells of its own users, and follows what the others tell.

Told, not stored: a worker counts its changes (`turn`) and sends each one; it says the count with every
beat, so whoever missed something notices within a beat and asks for the whole roster. A worker that is
not heard of for `SILENCE` seconds is gone, and its users with it. Nothing has to be cleaned up anywhere.

Messages are JSON arrays: `[kind, worker, …]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

SILENCE: Final = 10.0  # seconds

Place = tuple[str, str]  # session, user
Message = list[Any]


@dataclass(frozen=True, slots=True)
class Came:
    """A user has a connection at another worker; told again with another name."""

    session_id: str
    user_id: str
    username: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class Went:
    """A user has no connection at that worker any more."""

    session_id: str
    user_id: str


@dataclass(slots=True)
class _Worker:
    heard_at: float
    turn: int = -1
    users: dict[Place, str] = field(default_factory=dict)


class Presence:
    """The users of this worker, and of the others."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._connections: dict[Place, int] = {}
        self._names: dict[Place, str] = {}
        self._turn = 0
        self._changes: dict[Place, str | None] = {}
        self._others: dict[str, _Worker] = {}

    # What happens here

    def enter(self, session_id: str, user_id: str, username: str) -> None:
        """One more connection of the user, who is called so from now on."""
        place = (session_id, user_id)
        self._connections[place] = self._connections.get(place, 0) + 1
        self.call(session_id, user_id, username)

    def call(self, session_id: str, user_id: str, username: str) -> None:
        """The user is called so from now on."""
        place = (session_id, user_id)
        if self._names.get(place) != username:
            self._names[place] = self._changes[place] = username

    def exit(self, session_id: str, user_id: str) -> None:
        """One connection of the user less."""
        place = (session_id, user_id)
        self._connections[place] -= 1
        if not self._connections[place]:
            del self._connections[place], self._names[place]
            self._changes[place] = None

    # What is said of it

    @property
    def changed(self) -> bool:
        """Whether there are `changes` to be sent."""
        return bool(self._changes)

    def changes(self) -> Message:
        """What happened since the last time; to be sent."""
        changes, self._changes = self._changes, {}
        self._turn += 1
        return ["changes", self._worker, self._turn, [[*place, name] for place, name in changes.items()]]

    def beat(self) -> Message:
        """Still here."""
        return ["beat", self._worker, self._turn]

    def roster(self) -> Message:
        """Everybody who is connected here. Changes that are not sent yet may tell it again, which does no harm."""
        return ["roster", self._worker, self._turn, [[*place, name] for place, name in self._names.items()]]

    def goodbye(self) -> Message:
        """This worker stops."""
        return ["bye", self._worker]

    def question(self, worker: str) -> Message:
        """Ask a worker for its roster, or all of them with `*`."""
        return ["who", self._worker, worker]

    # What the others say

    def hear(self, message: Message, now: float) -> tuple[list[Came | Went], Message | None]:
        """Take in another's message: what it changes, and what is to be answered."""
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
            case ["changes", sender, turn, told]:
                other = self._other(sender, now)
                if turn == other.turn + 1:
                    other.turn = turn
                    changes = [one for change in told for one in self._change(other, *change)]
                else:
                    answer = self.question(sender)
            case ["roster", sender, turn, told]:
                other = self._other(sender, now)
                other.turn = turn
                there = {(session_id, user_id) for session_id, user_id, _ in told}
                gone = [(*place, None) for place in other.users if place not in there]
                changes = [one for change in [*gone, *told] for one in self._change(other, *change)]
            case _:
                raise ValueError(f"expected a message about presence, got {str(message)[:100]}")
        return changes, answer

    def expire(self, now: float) -> list[Came | Went]:
        """Forget the workers that fell silent."""
        silent = [worker for worker, other in self._others.items() if now - other.heard_at > SILENCE]
        return [one for worker in silent for one in self._forget(worker)]

    def excuse(self, now: float) -> None:
        """Nobody could be heard for a while, so that nobody's silence means anything: count it from now."""
        for other in self._others.values():
            other.heard_at = now

    def elsewhere(self, session_id: str) -> Iterator[Came]:
        """The session's users at the other workers."""
        for other in self._others.values():
            for (session, user_id), name in other.users.items():
                if session == session_id:
                    yield Came(session, user_id, name)

    def _other(self, worker: str, now: float) -> _Worker:
        """A worker that was just heard."""
        other = self._others.setdefault(worker, _Worker(now))
        other.heard_at = now
        return other

    def _change(self, other: _Worker, session_id: str, user_id: str, name: str | None) -> list[Came | Went]:
        place = (session_id, user_id)
        before = other.users.pop(place, None)
        if name is None:
            return [] if before is None else [Went(*place)]
        other.users[place] = name
        return [] if name == before else [Came(*place, name, again=before is not None)]

    def _forget(self, worker: str) -> list[Came | Went]:
        other = self._others.pop(worker, None)
        return [] if other is None else [Went(*place) for place in other.users]
