"""The store over Redis: everything is counted there, once, and shown here; without it the show goes on.

One task owns the connection. While it holds, another listens to what all workers publish, and a third
sends: first it reads the sessions of which something was missed, then the batches that wait, then
presence and the beat. Whatever goes wrong ends both and begins anew: read, put back what Redis has
lost, send again. All of it may be done twice, by all workers at once, against the same, an older or
an empty Redis (`core.shared`, `core.replica`, and the scripts).
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Any, Final, cast

from redis.exceptions import ConnectionError as RedisConnectionError

from service.core.pn_counter import Add, Applied, Populate, Reset, SessionSnapshot, Stamp
from service.core.presence import Came, Message, Presence, Went
from service.core.session import Event, Restored, Session, SessionRules
from service.core.shared_session import Behind, OperationBatch, SharedSession, Waiter
from service.core.users import DEMO_USERS
from service.metrics import Metrics
from service.stores.base import OnAnswer
from service.stores.embedded_redis import EmbeddedServer
from service.stores.in_process import LocalStore
from service.stores.redis_gateway import LINK_ERRORS, RedisGateway, applied, connected

PROVISIONAL_SECONDS: Final = 0.3  # an update that Redis has not confirmed by then gets a provisional answer
LINGER_SECONDS: Final = 0.01  # between two flushes, in which the next batches gather
BEAT_SECONDS: Final = 1.0
DEAF_SECONDS: Final = 3.0  # without hearing the own beat
ECHO_SECONDS: Final = 0.1  # within which a batch comes back in the stream after its answer
READ_AT_ONCE: Final = 50  # sessions
BACKOFF: Final = (0.05, 0.5)  # seconds between two tries to connect: the first, the longest
FIRST_READ_SECONDS: Final = 1.0
LAST_FLUSH_SECONDS: Final = 2.5

log = logging.getLogger("leaderboard.redis")


class RedisStore(LocalStore):
    """Shared by every worker whose `url` leads to the same database."""

    storage = "redis"

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
        self._url = url
        self._metrics = metrics
        self._worker = secrets.token_hex(6)
        self._presence = Presence(self._worker)
        self._shared: dict[str, SharedSession] = {}
        self._unread: set[str] = set()  # to be read before anything else is sent
        self._waiting: set[str] = set()  # with unconfirmed operations
        self._echoes: dict[str, tuple[OperationBatch, float]] = {}  # answered, and by when it should be in the stream
        self._peeked: dict[str, Stamp | None] = {}  # where Redis was a beat ago
        self._to_end: list[tuple[str, Stamp]] = []
        self._answers: list[Message] = []
        self._occupied: Collection[str] = ()
        self._read_once = asyncio.Event()
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._stopping = False
        self._said = ""
        self._link: RedisGateway | None = None
        self._in_touch = False  # whether the link that was tried last has been read from
        self._away = True
        self._slow = False  # an answer had to be provisional, and Redis has answered nothing since
        self._shown_degraded = False
        self._provisional_timer: asyncio.TimerHandle | None = None
        self._beat_heard_at = self._seen_at = time.monotonic()
        self._task: asyncio.Task[None] | None = None
        metrics.redis_queue.set_function(lambda: sum(len(self._shared[name]) for name in self._waiting))
        metrics.redis_seen_seconds.set_function(lambda: time.monotonic() - self._seen_at)

    # The contract

    @property
    def ready(self) -> bool:
        return self._read_once.is_set()

    @property
    def degraded(self) -> bool:
        return self._away or any(self._shared[name].alone for name in self._waiting)

    @property
    def epoch(self) -> str:
        return self._worker

    async def start(self) -> None:
        self._task = asyncio.create_task(self._stay_connected(), name="redis")
        self._task.add_done_callback(self._task_ended)
        try:
            await asyncio.wait_for(self._read_once.wait(), FIRST_READ_SECONDS)
        except TimeoutError:
            log.warning("Redis does not answer yet: scores are kept in this process until it does")

    async def stop(self) -> None:
        try:
            await asyncio.wait_for(self._drained.wait(), LAST_FLUSH_SECONDS)
        except TimeoutError:
            left = sum(len(self._shared[name]) for name in self._waiting)
            log.warning("stopping without Redis: %d operations that only this process holds are lost", left)
        if self._provisional_timer is not None:
            self._provisional_timer.cancel()
        self._stopping = True
        if self._link is not None:
            with suppress(*LINK_ERRORS):
                await self._link.publish([self._presence.goodbye()])
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

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
        self._wake.set()

    def update(
        self, session_id: str, user_id: str, points: int, op_id: str | None, now: float, on_answer: OnAnswer
    ) -> None:
        shared = self._shared[session_id]
        # The answer to an add is never None.
        shared.add(Add(user_id, points, op_id, now), time.monotonic(), cast("Waiter", on_answer))
        self._send(shared)

    async def populate(self, session_id: str, now: float) -> Session:
        session = self._obtain(session_id, now)
        await self._overwrite(session, Populate({user.id: user.demo_score for user in DEMO_USERS.values()}))
        return session

    async def reset(self, session_id: str, now: float) -> Session | None:
        session = self._sessions.get(session_id)
        if session is not None:
            await self._overwrite(session, Reset())
        return session

    def sweep(self, now: float, occupied: Collection[str]) -> None:
        self._occupied = frozenset(occupied)
        super().sweep(now, occupied)

    # Sessions

    def _begin(self, session_id: str, now: float) -> Session:
        session = Session(session_id, _new_epoch(), self.rules, created_at=now)
        self._shared[session_id] = SharedSession(session, self._worker, _new_suffix)
        for came in self._presence.elsewhere(session_id):
            session.admit(came.user_id, came.username)
        self._unread.add(session_id)
        self._wake.set()
        return session

    def _ended(self, session: Session) -> None:
        self._to_end.append((session.id, self._drop(session).replica.stamp))
        self._wake.set()

    def _drop(self, session: Session) -> SharedSession:
        self._sessions.pop(session.id, None)
        self._unread.discard(session.id)
        self._waiting.discard(session.id)
        self._echoes.pop(session.id, None)
        return self._shared.pop(session.id)

    def _find(self, session_id: str) -> SharedSession:
        """The session that another worker or Redis speaks of; it begins here too where it did not."""
        if session_id not in self._shared:
            self._sessions[session_id] = self._begin(session_id, time.time())
        return self._shared[session_id]

    def _keep_name(self, session: Session, user_id: str) -> None:
        if user_id in session.board:
            shared = self._shared[session.id]
            shared.name(user_id, time.monotonic())
            self._send(shared)
        self._wake.set()

    async def _overwrite(self, session: Session, op: Populate | Reset) -> None:
        done = asyncio.get_running_loop().create_future()
        shared = self._shared[session.id]
        shared.overwrite(op, time.monotonic(), lambda _: None if done.done() else done.set_result(None))
        self._send(shared)
        await done

    # What waits, and what is answered provisionally because it waits too long

    def _send(self, shared: SharedSession) -> None:
        if not shared:
            return
        self._waiting.add(shared.session.id)
        self._drained.clear()
        self._wake.set()
        if self._away or self._slow:
            self._emit(shared, shared.answer_provisionally(time.monotonic()))
        elif self._provisional_timer is None:
            self._provisional_timer = asyncio.get_running_loop().call_later(PROVISIONAL_SECONDS, self._answer_overdue)

    def _answer_overdue(self) -> None:
        self._provisional_timer = None
        before = time.monotonic() - PROVISIONAL_SECONDS
        oldest: float | None = None
        for session_id in list(self._waiting):
            shared = self._shared[session_id]
            events = shared.answer_provisionally(before)
            self._slow = self._slow or shared.alone
            self._emit(shared, events)
            waits = shared.oldest_unanswered
            if waits is not None and (oldest is None or waits.since < oldest):
                oldest = waits.since
        if self._slow:
            self._answer_all_provisionally()
        elif oldest is not None:
            delay = max(oldest - before, 0.0)
            self._provisional_timer = asyncio.get_running_loop().call_later(delay, self._answer_overdue)

    def _answer_all_provisionally(self) -> None:
        """Redis is away, so keep nobody waiting."""
        now = time.monotonic()
        for session_id in list(self._waiting):
            shared = self._shared[session_id]
            self._emit(shared, shared.answer_provisionally(now))
        self._note_degraded()

    def _emit(self, shared: SharedSession, events: Iterable[Event]) -> None:
        if not shared:
            self._waiting.discard(shared.session.id)
            if not self._waiting:
                self._drained.set()
        if events:
            self.listener(shared.session, events)
        self._note_degraded()

    def _note_degraded(self) -> None:
        """Every board says whether scores are kept in this process only, so all are due when that changes."""
        if self.degraded != self._shown_degraded:
            self._shown_degraded = not self._shown_degraded
            for session in self._sessions.values():
                self.listener(session, [Restored()])

    # The connection

    async def _stay_connected(self) -> None:
        pause, longest = BACKOFF
        # A cancellation alone may be taken for a time-out that ends in the same moment.
        while not self._stopping:
            began, self._in_touch = time.monotonic(), False
            try:
                async with connected(self._url, self._worker) as link:
                    await self._serve(link)
            except LINK_ERRORS as error:
                self._say_once(str(error))
            except Exception:
                log.exception("the link to Redis failed")
                self._metrics.background_failures.inc()
            # A connection that was cut is no Redis that is away: the first try to connect again tells.
            if not self._in_touch:
                self._lose()
            if self._in_touch and time.monotonic() - began > longest:
                pause = BACKOFF[0]
                continue
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, longest)

    async def _serve(self, link: RedisGateway) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(link), name="redis-stream")
                tasks.create_task(self._work(link), name="redis-work")
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            self._link = None

    def _say_once(self, reason: str) -> None:
        """Log why there is no link; the same reason, which comes twice a second, not again."""
        if reason != self._said:
            self._said = reason
            log.info("no link to Redis: %s", reason)

    def _lose(self) -> None:
        if not self._away:
            self._away = True
            log.warning("Redis is away: scores are kept in this process until it is back")
        self._answer_all_provisionally()

    def _found(self, link: RedisGateway) -> None:
        self._link = link
        self._in_touch = True
        self._slow = False
        self._beat_heard_at = time.monotonic()
        self._presence.excuse(self._beat_heard_at)
        if self._away and self.ready:
            log.warning("Redis is back")
        self._away = False
        self._said = ""
        self._read_once.set()
        self._note_degraded()

    # What all workers publish

    async def _listen(self, link: RedisGateway) -> None:
        async for message, text in link.stream():
            try:
                self._hear(message, text)
            except Exception:
                # Whatever it was, the sessions can be read.
                log.exception("a message of the stream could not be followed")
                self._metrics.background_failures.inc()
                self._unread |= self._shared.keys()
                self._wake.set()

    def _hear(self, message: list[Any], text: bytes) -> None:
        match message:
            case ["batch", *_]:
                self._follow(*applied(message, text))
            case ["restored" | "ended", self._worker, _]:
                pass
            case ["restored", _, session_id]:
                self._find(session_id)
                self._unread.add(session_id)
                self._wake.set()
            case ["ended", _, session_id]:
                self._hear_end(session_id)
            case ["beat", self._worker, _]:
                self._beat_heard_at = time.monotonic()
            case _:
                self._hear_presence(message)

    def _follow(self, session_id: str, what: Applied) -> None:
        shared = self._find(session_id)
        try:
            events = shared.take(what, time.time())
        except Behind:
            self._unread.add(session_id)
            self._wake.set()
            return
        self._emit(shared, events)
        if shared:
            self._wake.set()

    def _hear_end(self, session_id: str) -> None:
        session = self._sessions.get(session_id)
        if session is None:
            return
        if session.participants or session_id in self._occupied or self._shared[session_id]:
            # Somebody is here, so that it goes on: what is known here will be put back.
            self._unread.add(session_id)
            self._wake.set()
        else:
            self._drop(session)

    def _hear_presence(self, message: list[Any]) -> None:
        if message[0] in {"changes", "roster"}:
            # A session that begins takes in whom presence knows already, so it has to be there before.
            for session_id in {session_id for session_id, _, username in message[3] if username is not None}:
                self._find(session_id)
        changes, answer = self._presence.hear(message, time.monotonic())
        self._show_presence(changes)
        if answer is not None:
            self._answers.append(answer)
            self._wake.set()

    def _show_presence(self, changes: Iterable[Came | Went]) -> None:
        by_session: dict[str, list[Event]] = {}
        for change in changes:
            session = self._sessions.get(change.session_id)
            if session is None:
                continue
            if isinstance(change, Went):
                events = session.leave(change.user_id, time.time())
            elif change.again:
                events = session.rename(change.user_id, change.username)
            else:
                events = session.admit(change.user_id, change.username)
            by_session.setdefault(session.id, []).extend(events)
        for session_id, events in by_session.items():
            self.listener(self._sessions[session_id], events)

    # What this worker sends

    async def _work(self, link: RedisGateway) -> None:
        self._unread |= await link.session_ids() | self._shared.keys()
        await self._read(link)
        self._found(link)
        self._answers = [self._presence.question("*"), self._presence.roster()]
        next_beat = time.monotonic()
        while True:
            self._wake.clear()
            while self._to_end:
                await link.end(*self._to_end.pop())
            await self._read(link)
            await self._flush(link)
            await self._say(link)
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + BEAT_SECONDS
                await self._beat(link)
            await asyncio.sleep(LINGER_SECONDS)
            rest = next_beat - time.monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(rest, ECHO_SECONDS) if self._waiting else rest):
                    await self._wake.wait()

    async def _read(self, link: RedisGateway) -> None:
        while self._unread:
            chunk = [self._find(self._unread.pop()) for _ in range(min(len(self._unread), READ_AT_ONCE))]
            # Its first epoch is the one a session was shown in so far; another one begins where that was lost.
            readings = await link.read(
                (one.session.id, _new_epoch() if one.synced else one.replica.stamp.epoch, one.known) for one in chunk
            )
            self._seen_at = time.monotonic()
            for shared, reading in zip(chunk, readings, strict=True):
                await self._adopt(link, shared, reading)

    async def _adopt(self, link: RedisGateway, shared: SharedSession, reading: SessionSnapshot) -> None:
        session_id = shared.session.id
        if self._shared.get(session_id) is not shared:
            return  # ended meanwhile
        if shared.is_ahead_of(reading):
            self._unread.add(session_id)  # the stream was faster
            return
        lost = shared.lost(reading)
        if lost:
            await link.restore(session_id, reading, shared.replica, lost)
            self._metrics.redis_restores.inc(len(lost))
            self._unread.add(session_id)
            return
        self._emit(shared, shared.adopt(reading, time.time()))

    async def _flush(self, link: RedisGateway) -> None:
        now = time.monotonic()
        due: list[tuple[str, str, OperationBatch]] = []
        for session_id in self._waiting - self._unread:
            shared = self._shared[session_id]
            batch = shared.next_batch()
            if batch is None:
                continue
            answered, back_by = self._echoes.get(session_id, (None, 0.0))
            if answered is not batch:
                due.append((session_id, shared.replica.stamp.epoch, batch))
            elif now > back_by:
                self._unread.add(session_id)
                self._wake.set()
        if not due:
            return
        answers = await link.apply(due)
        self._seen_at = time.monotonic()
        self._slow = False
        self._metrics.redis_batches.inc(len(due))
        for (session_id, _, batch), answer in zip(due, answers, strict=True):
            if answer == "OK":
                self._echoes[session_id] = (batch, self._seen_at + ECHO_SECONDS)
            else:
                self._unread.add(session_id)
                self._wake.set()

    async def _say(self, link: RedisGateway) -> None:
        messages, self._answers = self._answers, []
        if self._presence.changed:
            messages.append(self._presence.changes())
        if messages:
            await link.publish(messages)

    async def _beat(self, link: RedisGateway) -> None:
        now = time.monotonic()
        if now - self._beat_heard_at > DEAF_SECONDS:
            raise RedisConnectionError(f"expected this process' own beat in the stream within {DEAF_SECONDS:g} s")
        self._show_presence(self._presence.expire(now))
        await link.publish([self._presence.beat()])
        # What was published may have been lost: whoever has not reached what was there a beat ago has missed it.
        session_ids = list(self._shared)
        peeked = dict(zip(session_ids, await link.peek(session_ids), strict=True))
        self._seen_at = time.monotonic()
        for session_id, shared in self._shared.items():
            there = peeked.get(session_id)
            lost = session_id in peeked and (there is None or there.epoch != shared.replica.stamp.epoch)
            if lost or not shared.reached(self._peeked.get(session_id)):
                self._unread.add(session_id)
                self._wake.set()
        self._peeked = peeked

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            log.critical("the task that keeps the link to Redis ended", exc_info=task.exception())


class EmbeddedRedisStore(RedisStore):
    """Over a Redis of its own, which lives as long as the store; its data is in the folder, or nowhere."""

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
        self._url = self._server.url
        await super().start()

    async def stop(self) -> None:
        await super().stop()
        await asyncio.to_thread(self._server.stop)


def _new_epoch() -> str:
    return secrets.token_hex(6)


def _new_suffix() -> str:
    return secrets.token_hex(3)
