"""What every store does in this process: sessions come into being, are joined and left, and end in their time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection

from service.core.errors import ErrorCode, Refused
from service.core.session import Session, SessionRules
from service.stores.base import Store

EMPTY_TTL = 600.0  # seconds a session without scores outlives its last connection


class LocalStore(Store):
    """The sessions by id. A store says how a session begins, and what else there is to do where one ends."""

    def __init__(self, *, rules: SessionRules, max_sessions: int = 1000, session_ttl: float = 86_400.0) -> None:
        self.rules = rules
        self._max_sessions = max_sessions
        self._session_ttl = session_ttl
        self._sessions: dict[str, Session] = {}

    @abstractmethod
    def _begin(self, session_id: str, now: float) -> Session:
        """The session, which did not exist."""

    def _ended(self, session: Session) -> None:
        """The session exists no more."""

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

    def sweep(self, now: float, occupied: Collection[str]) -> None:
        for session in list(self._sessions.values()):
            if session.empty_since is None:
                session.ops.forget(now)
                continue
            if session.id in occupied:
                session.empty_since = now
            elif now - session.empty_since >= (self._session_ttl if len(session.board) else EMPTY_TTL):
                self._end(session)

    def _obtain(self, session_id: str, now: float) -> Session:
        session = self._sessions.get(session_id)
        if session is None:
            if len(self._sessions) >= self._max_sessions:
                self._end(self._longest_empty())
            session = self._sessions[session_id] = self._begin(session_id, now)
        return session

    def _end(self, session: Session) -> None:
        del self._sessions[session.id]
        self._ended(session)

    def _longest_empty(self) -> Session:
        """The session that makes room for another. Raises `Refused` when somebody plays in each."""
        empty = [(one.empty_since, one.id) for one in self._sessions.values() if one.empty_since is not None]
        if not empty:
            raise Refused(
                ErrorCode.LIMIT,
                f"expected at most {self._max_sessions} sessions, got one more while somebody plays in each",
            )
        return self._sessions[min(empty)[1]]
