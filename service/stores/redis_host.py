"""What hosts decided, shared with the other workers: Redis keeps it, and the stream tells it.

Decisions hold here at once. Those that Redis has not heard are sent when it can be reached, again where it may have
lost them; which of two decisions holds does not depend on the order in which they come (`core.host_decisions`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from service.core.host_decisions import Decisions
from service.stores.redis_gateway import RedisGateway
from service.stores.redis_sessions import SharedSessions
from service.stores.redis_unconfirmed import Show

ANSWER_SECONDS: Final = 0.3  # for which the host waits for Redis


class SharedDecisions:
    """The decisions on their way to Redis; `show` gets a session and the events of what others decided in it."""

    def __init__(self, sessions: SharedSessions, show: Show) -> None:
        self._sessions = sessions
        self._show = show
        self._waiting: dict[str, dict[str, None]] = {}  # session → the things decided on
        self._heard: list[asyncio.Future[None]] = []  # by those who wait until Redis has heard

    async def spread(self, session_id: str, decisions: Decisions, *, away: bool) -> None:
        """Send decisions that hold here; return when Redis has them, is away, or takes too long."""
        self._send(session_id, decisions)
        if away:
            return
        heard = asyncio.get_running_loop().create_future()
        self._heard.append(heard)
        with suppress(TimeoutError):
            await asyncio.wait_for(heard, ANSWER_SECONDS)

    def repeat(self, session_ids: Iterable[str]) -> None:
        """Send all that holds in these sessions: Redis may have lost it."""
        for session_id in session_ids:
            shared = self._sessions.get(session_id)
            if shared is not None and shared.session.host:
                self._send(session_id, shared.session.host.all)

    def _send(self, session_id: str, keys: Iterable[str]) -> None:
        self._waiting.setdefault(session_id, {}).update(dict.fromkeys(keys))
        self._sessions.wake.set()

    def hear(self, session_id: str, decisions: Decisions) -> None:
        """Follow what another worker, or Redis, says that was decided."""
        if decisions:
            session = self._sessions.find(session_id).session
            self._show(session, session.follow(decisions))

    def is_settled(self, session_id: str) -> bool:
        """Whether no decision in the session is on its way."""
        return session_id not in self._waiting

    async def read(self, gateway: RedisGateway, session_ids: Sequence[str]) -> None:
        """Follow what is kept of these sessions."""
        for session_id, decisions in zip(session_ids, await gateway.decisions(session_ids), strict=True):
            if self._sessions.get(session_id) is not None:
                self.hear(session_id, decisions)

    async def flush(self, gateway: RedisGateway) -> None:
        """Send what waits. What is not answered waits for the next time."""
        heard = list(self._heard)
        for session_id, keys in list(self._waiting.items()):
            shared = self._sessions.get(session_id)
            sent = tuple(keys)
            if shared is not None:
                held = shared.session.host.all
                await gateway.decide(session_id, {key: held[key] for key in sent})
            for key in sent:
                keys.pop(key, None)
            if not keys:
                del self._waiting[session_id]
        for one in heard:
            self._heard.remove(one)
            if not one.done():
                one.set_result(None)
