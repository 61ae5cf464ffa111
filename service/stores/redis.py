"""The store over Redis: everything is counted there, once, and shown here. While it is away, this process goes on.

One task owns the connection (`redis_reconnect`). While a connection holds, one task follows what all workers
publish (`redis_subscription`), and one takes turns (`redis_send_loop`): first it reads the sessions of which
something was missed, then it sends the batches that wait (`redis_unconfirmed`), then presence and the beat
(`redis_presence`). Whatever goes wrong ends both, and a new connection begins with reading, putting back what
Redis has lost, and sending again. All of it may be done twice, by all workers at once, against the same, an older
or an empty Redis (`core.shared_session`, `core.pn_counter`, and the scripts).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Iterable
from functools import partial
from typing import Final, cast

from service.core.host_decisions import Decisions
from service.core.player_claim import Claim
from service.core.pn_counter import Add, Populate, Reset
from service.core.session import Event, Restored, Session, SessionRules
from service.core.shared_session import Waiter
from service.core.user_appearance import DEMO_USERS
from service.core.worker_presence import Presence
from service.metrics import Metrics
from service.stores.base import OnAnswer, Storage
from service.stores.embedded_redis import EmbeddedServer
from service.stores.in_process import LocalStore
from service.stores.redis_claims import PlayerClaims
from service.stores.redis_gateway import RedisGateway
from service.stores.redis_host import SharedDecisions
from service.stores.redis_link_state import LinkState
from service.stores.redis_presence import PresenceExchange
from service.stores.redis_reconnect import RedisConnection
from service.stores.redis_send_loop import SyncLoop
from service.stores.redis_sessions import SharedSessions
from service.stores.redis_subscription import StreamFollower
from service.stores.redis_unconfirmed import UnconfirmedOperations

FIRST_READ_SECONDS: Final = 1.0
LAST_FLUSH_SECONDS: Final = 2.5

log = logging.getLogger("leaderboard.redis")


class RedisStore(LocalStore):
    """Shared by every worker whose `url` leads to the same database."""

    storage: Storage = "redis"
    shared = True

    def __init__(
        self,
        url: str,
        *,
        rules: SessionRules,
        metrics: Metrics,
        max_sessions: int = 1000,
        session_ttl: float = 86_400.0,
    ) -> None:
        super().__init__(rules=rules, max_sessions=max_sessions, session_ttl=session_ttl)
        self.worker = worker = secrets.token_hex(6)
        self._degraded_shown = False
        self._presence = Presence(worker)
        self._shared = SharedSessions(self._sessions, rules=rules, worker=worker, presence=self._presence)
        self._connection = RedisConnection(url, worker, metrics, serve=self._serve, changed=self._connection_changed)
        self._unconfirmed = UnconfirmedOperations(self._shared, self._connection, self._show)
        self._claims = PlayerClaims(self._shared, self._presence)
        self._host = SharedDecisions(self._shared, self._show)
        exchange = PresenceExchange(self._presence, self._shared, self._show)
        self._stream = StreamFollower(self._shared, self._unconfirmed, exchange, self._claims, self._host, metrics)
        self._sync = SyncLoop(
            self._connection, self._shared, self._unconfirmed, exchange, self._claims, self._host, metrics
        )
        metrics.redis.queue.set_function(lambda: len(self._unconfirmed))
        metrics.redis.seen_seconds.set_function(lambda: time.monotonic() - self._sync.seen_at)
        for state in LinkState:
            metrics.redis.link_state.labels(state).set_function(partial(self._connection.is_in, state))

    @property
    def ready(self) -> bool:
        return self._connection.was_read.is_set()

    @property
    def degraded(self) -> bool:
        return self._connection.degraded or self._unconfirmed.alone

    @property
    def epoch(self) -> str:
        return self._shared.worker

    async def start(self) -> None:
        self._connection.start()
        try:
            await asyncio.wait_for(self._connection.was_read.wait(), FIRST_READ_SECONDS)
        except TimeoutError:
            log.warning(
                "Redis does not answer yet: scores are kept in this process until it does",
                extra={"event": "redis-away"},
            )

    async def stop(self) -> None:
        await self._unconfirmed.drain(LAST_FLUSH_SECONDS)
        await self._connection.stop([self._presence.goodbye()])

    async def _settle(self, session: Session, claim: Claim) -> None:
        await self._claims.settle(session, claim, away=self._connection.degraded)

    async def _spread(self, session: Session, decisions: Decisions) -> None:
        await self._host.spread(session.id, decisions, away=self._connection.degraded)

    def release(self, session_id: str, user_id: str, connection: str) -> None:
        super().release(session_id, user_id, connection)
        self._claims.release(session_id, user_id, connection)

    def join(self, session_id: str, user_id: str, username: str | None, now: float) -> Session:
        session = super().join(session_id, user_id, username, now)
        self._presence.enter(session_id, user_id, session.username(user_id))
        self._keep_name(session, user_id)
        return session

    def rename(self, session_id: str, user_id: str, username: str | None) -> Session:
        session = super().rename(session_id, user_id, username)
        self._presence.call(session_id, user_id, session.username(user_id))
        self._keep_name(session, user_id)
        return session

    def leave(self, session_id: str, user_id: str, now: float) -> None:
        super().leave(session_id, user_id, now)
        self._presence.exit(session_id, user_id)
        self._shared.wake.set()

    def watch(self, session_id: str) -> None:
        self._presence.watch(session_id)
        self._shared.wake.set()

    def unwatch(self, session_id: str) -> None:
        self._presence.unwatch(session_id)
        self._shared.wake.set()

    def update(
        self, session_id: str, user_id: str, points: int, op_id: str | None, now: float, on_answer: OnAnswer
    ) -> None:
        shared = self._shared[session_id]
        # The answer to an add is never None.
        shared.add(Add(user_id, points, op_id, now), time.monotonic(), cast("Waiter", on_answer))
        self._unconfirmed.add(shared)

    async def populate(self, session_id: str, now: float) -> Session:
        self.view(session_id, now).check_populate()
        session = self._obtain(session_id, now)
        await self._overwrite(session, Populate({user.id: user.demo_score for user in DEMO_USERS.values()}))
        return session

    async def reset(self, session_id: str, now: float) -> Session | None:
        session = self._sessions.get(session_id)
        if session is not None:
            await self._overwrite(session, Reset())
        return session

    def _begin(self, session_id: str, now: float) -> Session:
        return self._shared.begin(session_id, now)

    def _ended(self, session: Session) -> None:
        self._unconfirmed.forget(session.id)
        self._shared.end(session.id)

    def _is_watched(self, session_id: str) -> bool:
        return self._presence.watched(session_id)

    def _is_confirmed(self, session_id: str) -> bool:
        settled = self._claims.is_settled(session_id) and self._host.is_settled(session_id)
        return self._shared.is_confirmed(session_id) and settled

    def _keep_name(self, session: Session, user_id: str) -> None:
        if session.is_ranked(user_id):
            shared = self._shared[session.id]
            shared.name(user_id, time.monotonic())
            self._unconfirmed.add(shared)
        self._shared.wake.set()

    async def _overwrite(self, session: Session, op: Populate | Reset) -> None:
        done = asyncio.get_running_loop().create_future()
        shared = self._shared[session.id]
        shared.overwrite(op, time.monotonic(), lambda _: None if done.done() else done.set_result(None))
        self._unconfirmed.add(shared)
        await done

    # What the parts report

    async def _serve(self, gateway: RedisGateway) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._stream.follow(gateway), name="redis-stream")
                tasks.create_task(self._sync.run(gateway), name="redis-sync")
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    def _connection_changed(self) -> None:
        if self._connection.degraded:
            self._unconfirmed.answer_all()
        self._show_degraded()

    def _show(self, session: Session, events: Iterable[Event]) -> None:
        if events:
            self.listener(session, events)
        self._show_degraded()

    def _show_degraded(self) -> None:
        """Every board says whether scores are kept in this process only, so all are due when that changes."""
        if self.degraded != self._degraded_shown:
            self._degraded_shown = not self._degraded_shown
            for session in self._sessions.values():
                self.listener(session, [Restored()])


class EmbeddedRedisStore(RedisStore):
    """Over a Redis of its own, which lives as long as the store; its data is in the folder, or nowhere."""

    shared = False  # another process would start another server

    def __init__(
        self,
        folder: str,
        *,
        rules: SessionRules,
        metrics: Metrics,
        max_sessions: int = 1000,
        session_ttl: float = 86_400.0,
    ) -> None:
        super().__init__("", rules=rules, metrics=metrics, max_sessions=max_sessions, session_ttl=session_ttl)
        self._server = EmbeddedServer(folder)

    async def start(self) -> None:
        """Begin. Raises `NoServer`."""
        await asyncio.to_thread(self._server.start)
        self._connection.url = self._server.url
        await super().start()

    async def stop(self) -> None:
        await super().stop()
        await asyncio.to_thread(self._server.stop)
