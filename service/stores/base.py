"""The contract of a store: commands go in, events come out, answers are given to callbacks.

A store decides what survives and what other processes see. The session it hands out is always
in this process, so reading never waits. Writing an update never waits either: `on_answer` gets the
answer, at once where there is nothing to wait for, later where a server has to confirm it, twice
where the first answer was provisional (`durable=False`).

Every change reaches the hubs as events through the one `listener`, whoever caused it: a socket
of this process, a REST call, or another process.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Literal

from service.core.player_claim import Claim
from service.core.session import Answer, Event, Session, SessionRules

Storage = Literal["memory", "redis"]
Listener = Callable[[Session, Iterable[Event]], None]
OnAnswer = Callable[[Answer], None]


def nobody_listens(_session: Session, _events: Iterable[Event]) -> None:
    """The listener of a store whose events nobody wants yet."""


class Store(ABC):
    """Sessions by id. All times are Unix seconds and come in as arguments."""

    storage: Storage  # what `/health` says
    shared: bool  # whether several processes show the same sessions
    worker: str  # names this process among those that show the same sessions
    rules: SessionRules
    listener: Listener = staticmethod(nobody_listens)

    @property
    @abstractmethod
    def ready(self) -> bool:
        """Whether the data of earlier runs has been read at least once since the start."""

    @property
    @abstractmethod
    def degraded(self) -> bool:
        """Whether scores are kept in this process only because the server behind the store is away."""

    @property
    @abstractmethod
    def epoch(self) -> str:
        """The epoch of sessions that do not exist yet."""

    @abstractmethod
    async def start(self) -> None:
        """Begin. Called once, before anything else."""

    @abstractmethod
    async def stop(self) -> None:
        """Bring home what is still on its way. Called once, after everything else."""

    @property
    @abstractmethod
    def sessions(self) -> Collection[Session]:
        """The sessions that exist now."""

    @abstractmethod
    def get(self, session_id: str) -> Session | None:
        """The session, or None when nobody has brought it into being."""

    def view(self, session_id: str, now: float) -> Session:
        """The session to read from: an empty one, which nobody else sees, where there is none."""
        return self.get(session_id) or Session(session_id, self.epoch, self.rules, created_at=now)

    @abstractmethod
    def check_join(self, session_id: str, user_id: str) -> None:
        """Raise `Refused` (`session-full` or `limit`) when `join` would; changes nothing."""

    @abstractmethod
    async def claim(self, claim: Claim, now: float) -> None:
        """Make the claim's holder the only one who may play as the user, until the session ends.

        The session comes into being with it. Raises `Refused`: `taken` where somebody else is the holder, and as
        `check_join`; nobody's holder has changed then.
        """

    @abstractmethod
    def release(self, session_id: str, user_id: str, connection: str) -> None:
        """Free a user whom this connection holds, because it has ended; changes nothing where it holds no such user."""

    @abstractmethod
    def join(self, session_id: str, user_id: str, username: str | None, now: float) -> Session:
        """One more connection of the user; the session comes into being with it. Raises as `check_join`."""

    @abstractmethod
    def rename(self, session_id: str, user_id: str, username: str | None) -> Session:
        """Give a connected user another name."""

    @abstractmethod
    def leave(self, session_id: str, user_id: str, now: float) -> None:
        """One connection of the user less."""

    @abstractmethod
    def watch(self, session_id: str) -> None:
        """One more watcher of the session, which need not exist and does not come into being."""

    @abstractmethod
    def unwatch(self, session_id: str) -> None:
        """One watcher of the session less."""

    @abstractmethod
    def update(
        self, session_id: str, user_id: str, points: int, op_id: str | None, now: float, on_answer: OnAnswer
    ) -> None:
        """Add points to a connected user, once per opId; `on_answer` gets the answer.

        Raises `Refused` (`limit`) when the total would leave ±10¹²; then there is no answer.
        """

    @abstractmethod
    async def populate(self, session_id: str, now: float) -> Session:
        """Set the demo users' scores. Raises `Refused` as `check_join`, when not all of them have room."""

    @abstractmethod
    async def reset(self, session_id: str, now: float) -> Session | None:
        """Clear all scores; None where there is no such session, which stays so."""

    @abstractmethod
    async def decide(self, session_id: str, values: Mapping[str, Any], now: float) -> Session:
        """Let the host decide; the session comes into being with it. See `core.host_decisions` for the values.

        They hold at all workers, and for as long as the session lasts. Raises `Refused` (`limit`) as `check_join`.
        """

    @abstractmethod
    def sweep(self, now: float) -> None:
        """End the sessions whose time has come, but none that is watched or holds what is not confirmed."""
