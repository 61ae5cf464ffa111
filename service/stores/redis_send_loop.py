"""What this worker sends to Redis, turn by turn: end, read and restore sessions, send batches, presence, the beat."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Final

from service.core.pn_counter import SessionSnapshot, Stamp
from service.core.shared_session import SharedSession
from service.metrics import Metrics
from service.stores.redis_claims import PlayerClaims
from service.stores.redis_gateway import RedisGateway
from service.stores.redis_host import SharedDecisions
from service.stores.redis_link_state import ANSWERED
from service.stores.redis_presence import PresenceExchange
from service.stores.redis_reconnect import RedisConnection
from service.stores.redis_sessions import SharedSessions, new_epoch
from service.stores.redis_unconfirmed import ECHO_SECONDS, UnconfirmedOperations

LINGER_SECONDS: Final = 0.01  # between two turns, in which the next batches gather
BEAT_SECONDS: Final = 1.0
READ_AT_ONCE: Final = 50  # sessions
LOOK_AGAIN: Final = 5  # beats


class SyncLoop:
    """Brings what is known here and what is in Redis to the same state, for as long as a connection holds."""

    def __init__(
        self,
        connection: RedisConnection,
        sessions: SharedSessions,
        unconfirmed: UnconfirmedOperations,
        presence: PresenceExchange,
        claims: PlayerClaims,
        host: SharedDecisions,
        metrics: Metrics,
    ) -> None:
        self.seen_at = time.monotonic()  # when Redis answered last
        self._connection = connection
        self._sessions = sessions
        self._unconfirmed = unconfirmed
        self._presence = presence
        self._claims = claims
        self._host = host
        self._metrics = metrics
        self._beats = 0
        self._peeked: dict[str, Stamp | None] = {}  # where Redis was a beat ago

    async def run(self, gateway: RedisGateway) -> None:
        """Read everything, then take turns until the connection ends. Raises what is in `LINK_ERRORS`."""
        self._sessions.read_again(*await gateway.session_ids(), *self._sessions.ids)
        await self._read(gateway)
        self._claims.begin()
        self._host.repeat(self._sessions.ids)
        self._presence.begin()
        self._connection.found(gateway)
        next_beat = time.monotonic()
        while True:
            await self._take_turn(gateway)
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + BEAT_SECONDS
                await self._beat(gateway)
            await asyncio.sleep(LINGER_SECONDS)
            await self._wait(next_beat - time.monotonic())

    async def _take_turn(self, gateway: RedisGateway) -> None:
        self._sessions.wake.clear()
        while self._sessions.ended:
            session_id, stamp = self._sessions.ended.pop(0)
            if not await gateway.end(session_id, stamp):
                self._sessions.read_again(session_id)  # others have gone further, and it was not heard here
        await self._read(gateway)
        await self._flush(gateway)
        await self._claims.flush(gateway)
        await self._host.flush(gateway)
        messages = self._presence.take_messages()
        if messages:
            await gateway.publish(messages)

    async def _wait(self, until_beat: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(min(until_beat, ECHO_SECONDS) if self._unconfirmed else until_beat):
                await self._sessions.wake.wait()

    async def _read(self, gateway: RedisGateway) -> None:
        while self._sessions.unread:
            chunk = self._sessions.take_unread(READ_AT_ONCE)
            # Its first epoch is the one a session was shown in so far; another one begins where that was lost.
            readings = await gateway.read(
                (one.session.id, new_epoch() if one.synced else one.replica.stamp.epoch, one.known) for one in chunk
            )
            self.seen_at = time.monotonic()
            await self._host.read(gateway, [one.session.id for one in chunk])
            for shared, reading in zip(chunk, readings, strict=True):
                await self._adopt(gateway, shared, reading)
            self._sessions.adopted()

    async def _adopt(self, gateway: RedisGateway, shared: SharedSession, reading: SessionSnapshot) -> None:
        session_id = shared.session.id
        if self._sessions.get(session_id) is not shared:
            return  # it ended while it was read
        if shared.is_ahead_of(reading):
            self._sessions.read_again(session_id)  # the stream was faster
            return
        lost = shared.lost(reading)
        if lost:
            await gateway.restore(session_id, reading, shared.replica, lost)
            self._metrics.redis.restores.inc(len(lost))
            self._sessions.read_again(session_id)
            return
        if reading.stamp.epoch != shared.replica.stamp.epoch:
            # A Redis that lost the epoch has lost the holders, and what the host decided.
            self._claims.repeat([session_id])
            self._host.repeat([session_id])
        self._unconfirmed.show(shared, shared.adopt(reading, time.time()))

    async def _flush(self, gateway: RedisGateway) -> None:
        due = self._unconfirmed.due(time.monotonic())
        if not due:
            return
        answers = await gateway.apply(due)
        self.seen_at = time.monotonic()
        self._connection.note(ANSWERED)
        self._metrics.redis.batches.inc(len(due))
        self._unconfirmed.sent(due, answers, self.seen_at)

    async def _beat(self, gateway: RedisGateway) -> None:
        await gateway.publish([self._presence.beat()])
        # What was published may have been lost: a session that has not reached what was there a beat ago missed it.
        session_ids = list(self._sessions.ids)
        self._beats += 1
        if self._beats % LOOK_AGAIN == 0:  # and so may have been what a host decided, which moves no version
            await self._host.read(gateway, session_ids)
        peeked = dict(zip(session_ids, await gateway.peek(session_ids), strict=True))
        self.seen_at = time.monotonic()
        for session_id in self._sessions.ids:
            if self._has_missed(session_id, peeked):
                self._sessions.read_again(session_id)
        self._peeked = peeked

    def _has_missed(self, session_id: str, peeked: dict[str, Stamp | None]) -> bool:
        shared, there = self._sessions[session_id], peeked.get(session_id)
        lost = session_id in peeked and (there is None or there.epoch != shared.replica.stamp.epoch)
        return lost or not shared.reached(self._peeked.get(session_id))
