"""What every store does in this process: sessions come into being, are joined and left, and end in their time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping
from typing import Any

from service.core.errors import ErrorCode, Refused
from service.core.host_decisions import Decisions
from service.core.player_claim import Claim
from service.core.protocol import DEFAULT_SESSION
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

    @abstractmethod
    def _is_watched(self, session_id: str) -> bool:
        """Whether somebody watches the session, in any process."""

    def _is_confirmed(self, _session_id: str) -> bool:
        """Whether all of the session is known here, and nothing of it is known here alone."""
        return True

    @property
    def sessions(self) -> Collection[Session]:
        return self._sessions.values()

    def get(self, session_id: str) -> Session | None:
        return self._sessions.get(session_id)

    def check_join(self, session_id: str, user_id: str) -> None:
        session = self._sessions.get(session_id)
        if session is not None:
            session.check_join(user_id)
        elif not self._has_place(session_id):
            self._longest_disposable()

    async def claim(self, claim: Claim, now: float) -> None:
        session = self._obtain(claim.session_id, now)
        session.check_join(claim.user_id)
        await self._settle(session, claim)

    async def _settle(self, session: Session, claim: Claim) -> None:
        """Grant the claim, or raise `Refused` (`taken`)."""
        session.grant(claim)

    def release(self, session_id: str, user_id: str, connection: str) -> None:
        session = self._sessions.get(session_id)
        if session is not None and session.holder(user_id) == connection:
            session.hold(user_id, None)

    def join(self, session_id: str, user_id: str, username: str | None, now: float) -> Session:
        session = self._obtain(session_id, now)
        events = session.join(user_id, username)
        self.listener(session, events)
        return session

    async def decide(self, session_id: str, values: Mapping[str, Any], now: float) -> Session:
        session = self._obtain(session_id, now)
        decisions = session.host.decide(self.worker, values)
        self.listener(session, session.follow(decisions))
        await self._spread(session, decisions)
        return session

    async def _spread(self, session: Session, decisions: Decisions) -> None:
        """Let the other workers know."""

    def rename(self, session_id: str, user_id: str, username: str | None) -> Session:
        session = self._sessions[session_id]
        self.listener(session, session.rename(user_id, username))
        return session

    def leave(self, session_id: str, user_id: str, now: float) -> None:
        session = self._sessions[session_id]
        self.listener(session, session.leave(user_id, now))
        if session.empty_since is not None:
            self._move_to_end(session)

    def _move_to_end(self, session: Session) -> None:
        """Keep the order in which sessions became empty, so that the longest empty one is found without a search."""
        self._sessions[session.id] = self._sessions.pop(session.id)

    def sweep(self, now: float) -> None:
        for session in list(self._sessions.values()):
            if session.empty_since is None:
                session.ops.forget(now)
            elif self._is_watched(session.id):
                session.empty_since = now
                self._move_to_end(session)
            elif self._is_over(session, now - session.empty_since):
                self._end(session)

    def _is_over(self, session: Session, empty_for: float) -> bool:
        lifetime = self._session_ttl if session.is_of_use else EMPTY_TTL
        return empty_for >= lifetime and self._is_confirmed(session.id)

    def _obtain(self, session_id: str, now: float) -> Session:
        session = self._sessions.get(session_id)
        if session is None:
            if not self._has_place(session_id):
                self._end(self._longest_disposable())
            session = self._sessions[session_id] = self._begin(session_id, now)
        return session

    def _end(self, session: Session) -> None:
        del self._sessions[session.id]
        self._ended(session)

    def _has_place(self, session_id: str) -> bool:
        """Whether the session may begin without another's end.

        The default session always may, and is not counted: it is the one on the stage, and sockets that take all
        places must not keep the audience out of it.
        """
        counted = len(self._sessions) - (DEFAULT_SESSION in self._sessions)
        return session_id == DEFAULT_SESSION or counted < self._max_sessions

    def _longest_disposable(self) -> Session:
        """The session that makes room for another. Raises `Refused` when each is of use to somebody."""
        for one in self._sessions.values():
            if one.empty_since is not None and not one.is_of_use and self._is_disposable(one.id):
                return one
        raise Refused(
            ErrorCode.LIMIT,
            f"expected at most {self._max_sessions} sessions besides {DEFAULT_SESSION}, "
            "got one more while each has players, scores or watchers",
        )

    def _is_disposable(self, empty: str) -> bool:
        """Whether a session without players and scores may go for another."""
        return empty != DEFAULT_SESSION and not self._is_watched(empty) and self._is_confirmed(empty)
