"""The store without a server: the sessions themselves, for as long as the process lives."""

from __future__ import annotations

from collections import Counter
from itertools import count

from service.core.session import Session, SessionRules
from service.stores.base import OnAnswer, Storage
from service.stores.in_process import LocalStore


class MemoryStore(LocalStore):
    """Everything in this process. An update is durable at once, because there is nothing else to wait for.

    `epoch` names this start of the process; versions of another start must not compare with it.
    """

    storage: Storage = "memory"
    worker = "here"
    shared = False
    ready = True
    degraded = False

    def __init__(
        self, *, epoch: str, rules: SessionRules, max_sessions: int = 1000, session_ttl: float = 86_400.0
    ) -> None:
        super().__init__(rules=rules, max_sessions=max_sessions, session_ttl=session_ttl)
        self._epoch = epoch
        # A session that ended and begins again counts its versions from 0, so it needs an epoch of its own.
        self._births = count(1)
        self._watchers: Counter[str] = Counter()

    @property
    def epoch(self) -> str:
        return self._epoch

    async def start(self) -> None:
        """Nothing to read."""

    async def stop(self) -> None:
        """Nothing to bring home."""

    def watch(self, session_id: str) -> None:
        self._watchers[session_id] += 1

    def unwatch(self, session_id: str) -> None:
        self._watchers[session_id] -= 1
        if not self._watchers[session_id]:
            del self._watchers[session_id]

    def update(
        self, session_id: str, user_id: str, points: int, op_id: str | None, now: float, on_answer: OnAnswer
    ) -> None:
        session = self._sessions[session_id]
        answer, events = session.score(user_id, points, op_id, now)
        on_answer(answer)
        self.listener(session, events)

    async def populate(self, session_id: str, now: float) -> Session:
        self.view(session_id, now).check_populate()
        session = self._obtain(session_id, now)
        self.listener(session, session.populate())
        return session

    async def reset(self, session_id: str, now: float) -> Session | None:
        session = self._sessions.get(session_id)
        if session is not None:
            self.listener(session, session.reset())
        return session

    def _is_watched(self, session_id: str) -> bool:
        return session_id in self._watchers

    def _begin(self, session_id: str, now: float) -> Session:
        return Session(session_id, f"{self._epoch}.{next(self._births)}", self.rules, created_at=now)
