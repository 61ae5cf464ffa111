"""The operations that Redis has not confirmed: which are to be sent, and which get a provisional answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from service.core.session import Event, Session
from service.core.shared_session import OperationBatch, SharedSession
from service.stores.redis_link_state import AT_ONCE, OVERDUE
from service.stores.redis_reconnect import RedisConnection
from service.stores.redis_sessions import SharedSessions

PROVISIONAL_SECONDS: Final = 0.3  # an update that Redis has not confirmed by then gets a provisional answer
ECHO_SECONDS: Final = 0.1  # within which a batch comes back in the stream after its answer

log = logging.getLogger("leaderboard.redis")

Show = Callable[[Session, Iterable[Event]], None]


class UnconfirmedOperations:
    """The unconfirmed operations of all sessions. `show` gets a session and the events of what changed on its board."""

    def __init__(self, sessions: SharedSessions, connection: RedisConnection, show: Show) -> None:
        self._sessions = sessions
        self._connection = connection
        self._show = show
        self._waiting: set[str] = set()  # sessions with unconfirmed operations
        self._echoes: dict[str, tuple[OperationBatch, float]] = {}  # answered, and by when it should be in the stream
        self._timer: asyncio.TimerHandle | None = None
        self._drained = asyncio.Event()
        self._drained.set()

    def __len__(self) -> int:
        return sum(len(shared) for shared in self._shared())

    @property
    def alone(self) -> bool:
        """Whether a board shows something that this process alone knows of."""
        return any(shared.alone for shared in self._shared())

    def _shared(self) -> Iterator[SharedSession]:
        return (self._sessions[session_id] for session_id in tuple(self._waiting))

    def add(self, shared: SharedSession) -> None:
        """Have the session's queue sent, and answered provisionally if that takes too long."""
        if not shared:
            return
        self._waiting.add(shared.session.id)
        self._drained.clear()
        self._sessions.wake.set()
        if self._connection.state in AT_ONCE:
            self.show(shared, shared.answer_provisionally(time.monotonic()))
        elif self._timer is None:
            self._set_timer(PROVISIONAL_SECONDS)

    def show(self, shared: SharedSession, events: Iterable[Event]) -> None:
        """Show what changed in a session, which may have confirmed the last of its operations."""
        if not shared:
            self.forget(shared.session.id)
        self._show(shared.session, events)

    def forget(self, session_id: str) -> None:
        """The session has no operations any more."""
        self._waiting.discard(session_id)
        self._echoes.pop(session_id, None)
        if not self._waiting:
            self._drained.set()

    async def drain(self, seconds: float) -> None:
        """Wait until all are confirmed, but not longer than that. Nothing is answered provisionally any more."""
        try:
            await asyncio.wait_for(self._drained.wait(), seconds)
        except TimeoutError:
            log.warning(
                "stopping without Redis: %d operations that only this process holds are lost",
                len(self),
                extra={"event": "operations-lost"},
            )
        if self._timer is not None:
            self._timer.cancel()

    # Batches

    def due(self, now: float) -> list[tuple[str, str, OperationBatch]]:
        """What is to be sent now, as (session, epoch, batch); where an echo is overdue, the session is to be read."""
        due = []
        for session_id in self._waiting - self._sessions.unread:
            shared = self._sessions[session_id]
            batch = shared.next_batch()
            if batch is None:
                continue
            answered, echo_by = self._echoes.get(session_id, (None, 0.0))
            if answered is not batch:
                due.append((session_id, shared.replica.stamp.epoch, batch))
            elif now > echo_by:
                self._sessions.read_again(session_id)
        return due

    def sent(self, due: Sequence[tuple[str, str, OperationBatch]], answers: Iterable[str], now: float) -> None:
        """Redis has answered what was due."""
        for (session_id, _, batch), answer in zip(due, answers, strict=True):
            if answer == "OK":
                self._echoes[session_id] = (batch, now + ECHO_SECONDS)
            else:
                self._sessions.read_again(session_id)

    # Provisional answers

    def answer_all(self) -> None:
        """Answer everything that waits provisionally: Redis is away, or too slow to wait for."""
        self._answer(time.monotonic())

    def _answer(self, before: float) -> None:
        for shared in self._shared():
            self.show(shared, shared.answer_provisionally(before))

    def _answer_overdue(self) -> None:
        self._timer = None
        before = time.monotonic() - PROVISIONAL_SECONDS
        self._answer(before)
        if self.alone:
            self._connection.note(OVERDUE)
        if self._connection.state in AT_ONCE:
            self.answer_all()
        else:
            self._wait_for_the_oldest(before)

    def _wait_for_the_oldest(self, before: float) -> None:
        oldest = min((one.since for shared in self._shared() if (one := shared.oldest_unanswered)), default=None)
        if oldest is not None:
            self._set_timer(max(oldest - before, 0.0))

    def _set_timer(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._answer_overdue)
