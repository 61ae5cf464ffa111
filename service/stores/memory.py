"""The store without a server: the sessions themselves, for as long as the process lives."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count

from service.core.failures import ErrorCode, Refused
from service.core.session import Rules, Session
from service.stores.base import Settle, Store

EMPTY_TTL = 600.0  # seconds a session without scores outlives its last connection


class MemoryStore(Store):
    """Everything in this process. An update is durable at once, because there is nothing else to wait for.

    `epoch` names this start of the process; versions of another start must not compare with it.
    """

    storage = "memory"
    ready = True
    degraded = False

    def __init__(self, *, epoch: str, rules: Rules, max_sessions: int = 1000, session_ttl: float = 86_400.0) -> None:
        self._epoch = epoch
        self.rules = rules
        self._max_sessions = max_sessions
        self._session_ttl = session_ttl
        self._sessions: dict[str, Session] = {}
        # A session that ended and begins again counts its versions anew, so it needs an epoch of its own.
        self._births = count(1)

    @property
    def epoch(self) -> str:
        return self._epoch

    async def start(self) -> None:
        """Nothing to read."""

    async def stop(self) -> None:
        """Nothing to bring home."""

    @property
    def sessions(self) -> Collection[Session]:
        return self._sessions.values()

    def get(self, session_id: str) -> Session | None:
        return self._sessions.get(session_id)

    def check_join(self, session_id: str, user_id: str) -> None:
        session = self._sessions.get(session_id)
        if session is not None:
            session.check_join(user_id)
        elif len(self._sessions) >= self._max_sessions:
            self._longest_empty()

    def join(self, session_id: str, user_id: str, username: str | None, now: float) -> Session:
        session = self._obtain(session_id, now)
        events = session.join(user_id, username)
        self.listener(session, events)
        return session

    def rename(self, session_id: str, user_id: str, username: str | None) -> Session:
        session = self._sessions[session_id]
        self.listener(session, session.rename(user_id, username))
        return session

    def leave(self, session_id: str, user_id: str, now: float) -> None:
        session = self._sessions[session_id]
        self.listener(session, session.leave(user_id, now))

    def update(self, session_id: str, user_id: str, points: int, op_id: str | None, now: float, settle: Settle) -> None:
        session = self._sessions[session_id]
        answer, events = session.score(user_id, points, op_id, now)
        settle(answer)
        self.listener(session, events)

    async def populate(self, session_id: str, now: float) -> Session:
        session = self._obtain(session_id, now)
        self.listener(session, session.populate())
        return session

    async def reset(self, session_id: str, now: float) -> Session | None:
        session = self._sessions.get(session_id)
        if session is not None:
            self.listener(session, session.reset())
        return session

    def sweep(self, now: float, occupied: Collection[str]) -> None:
        for session in list(self._sessions.values()):
            if session.empty_since is None:
                session.ops.forget(now)
                continue
            if session.id in occupied:
                session.empty_since = now
            elif now - session.empty_since >= (self._session_ttl if len(session.board) else EMPTY_TTL):
                del self._sessions[session.id]

    def _obtain(self, session_id: str, now: float) -> Session:
        session = self._sessions.get(session_id)
        if session is None:
            if len(self._sessions) >= self._max_sessions:
                del self._sessions[self._longest_empty()]
            epoch = f"{self._epoch}.{next(self._births)}"
            session = self._sessions[session_id] = Session(session_id, epoch, self.rules, created_at=now)
        return session

    def _longest_empty(self) -> str:
        """The session that makes room for another. Raises `Refused` when somebody plays in each."""
        empty = [(one.empty_since, one.id) for one in self._sessions.values() if one.empty_since is not None]
        if not empty:
            raise Refused(
                ErrorCode.LIMIT,
                f"expected at most {self._max_sessions} sessions, got one more while somebody plays in each",
            )
        return min(empty)[1]
