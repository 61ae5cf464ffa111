"""Follows what all workers publish: batches as they were applied, sessions that were restored or ended, presence."""

from __future__ import annotations

import logging
import time

from service.core.host_decisions import from_wire
from service.core.line_budget import LineBudget
from service.core.pn_counter import Applied
from service.core.shared_session import Behind
from service.core.stream_messages import Message
from service.metrics import Metrics
from service.stores.redis_claims import PlayerClaims
from service.stores.redis_gateway import RedisGateway, applied
from service.stores.redis_host import SharedDecisions
from service.stores.redis_presence import PresenceExchange
from service.stores.redis_sessions import SharedSessions
from service.stores.redis_unconfirmed import UnconfirmedOperations

log = logging.getLogger("leaderboard.redis")


class StreamFollower:
    """Gives each message of the stream to the part that it is about."""

    def __init__(
        self,
        sessions: SharedSessions,
        unconfirmed: UnconfirmedOperations,
        presence: PresenceExchange,
        claims: PlayerClaims,
        host: SharedDecisions,
        metrics: Metrics,
    ) -> None:
        self._sessions = sessions
        self._unconfirmed = unconfirmed
        self._presence = presence
        self._claims = claims
        self._host = host
        self._metrics = metrics
        self._worker = sessions.worker
        self._lines = LineBudget()

    async def follow(self, gateway: RedisGateway) -> None:
        """Follow the stream until the connection ends."""
        async for message, text in gateway.stream():
            try:
                self._hear(message, text)
            except Exception:
                # Whatever was in the message, reading the sessions makes up for it.
                if (more := self._lines.more("failed", time.monotonic())) is not None:
                    log.exception(
                        "a message of the stream could not be followed%s", more, extra={"event": "redis-stream-failed"}
                    )
                self._metrics.background_failures.inc()
                self._sessions.read_again(*self._sessions.ids)

    def _hear(self, message: Message, text: bytes) -> None:
        match message:
            case ["batch", *_]:
                self._apply(*applied(message, text))
            case ["restored" | "ended" | "host", self._worker, _]:
                pass
            case ["host", _, session_id]:
                self._host.hear(session_id, from_wire(text))
            case ["restored", _, session_id]:
                self._sessions.find(session_id)
                self._sessions.read_again(session_id)
            case ["ended", _, session_id]:
                self._hear_end(session_id)
            case ["beat", self._worker, _]:
                self._presence.hear_own_beat()
            case _:
                self._presence.hear(message)

    def _apply(self, session_id: str, what: Applied) -> None:
        shared = self._sessions.find(session_id)
        try:
            events = shared.take(what, time.time())
        except Behind:
            self._sessions.read_again(session_id)
            return
        except ValueError as error:
            if (more := self._lines.more("odd operations", time.monotonic())) is not None:
                log.warning(
                    "a batch of session %s cannot be followed, so it is read: %s%s",
                    session_id,
                    error,
                    more,
                    extra={"event": "refused-message", "session": session_id},
                )
            self._sessions.read_again(session_id)
            return
        self._unconfirmed.show(shared, events)
        if shared:
            self._sessions.wake.set()

    def _hear_end(self, session_id: str) -> None:
        if session_id not in self._sessions.ids:
            return
        if self._sessions.in_use(session_id):
            # It goes on: reading it puts back what this process knows.
            self._sessions.read_again(session_id)
            self._claims.repeat([session_id])
            self._host.repeat([session_id])
        else:
            self._unconfirmed.forget(session_id)
            self._sessions.drop(session_id)
