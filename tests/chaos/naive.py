"""The control: the usual way to put a leaderboard over Redis, which a chaos run must find wanting.

Scores live in a ZSET and grow by ZINCRBY as updates come. When Redis fails, a dictionary of this process
collects what is to be added later. The client is redis-py as it comes, so a command that timed out or lost
its connection is sent again. What has been answered is known to this process alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.core.session import Session, SessionRules
from service.stores.base import OnAnswer
from service.stores.memory import MemoryStore

LOOK_EVERY = 0.1  # seconds


class Update(NamedTuple):
    """What is on its way to Redis."""

    session: Session
    user_id: str
    points: int
    op_id: str | None
    on_answer: OnAnswer


class NaiveStore(MemoryStore):
    """Sessions of this process, written through to Redis and read back from it."""

    storage = "redis"
    shared = True

    def __init__(self, url: str, *, epoch: str, rules: SessionRules) -> None:
        super().__init__(epoch=epoch, rules=rules)
        self._redis = Redis.from_url(url, decode_responses=True)
        self._queue: asyncio.Queue[Update] = asyncio.Queue()
        self._under_way = 0  # updates that Redis has not counted yet
        self._missing: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._down = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def degraded(self) -> bool:
        return self._down

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._look())]

    async def stop(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await self._queue.join()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._redis.aclose()

    def update(
        self, session_id: str, user_id: str, points: int, op_id: str | None, now: float, on_answer: OnAnswer
    ) -> None:
        session = self._sessions[session_id]
        answer, events = session.score(user_id, points, op_id, now)
        if not events:
            on_answer(answer)
            return
        self._under_way += 1
        self._queue.put_nowait(Update(session, user_id, points, op_id, on_answer))
        self.listener(session, events)

    async def _write(self) -> None:
        while True:
            update = await self._queue.get()
            key = key_of(update.session)
            if not self._down:
                try:
                    await self._redis.zincrby(key, update.points, update.user_id)
                except (RedisError, OSError):
                    self._down = True
            if self._down:
                self._missing[key, update.user_id] += update.points
            update.on_answer(update.session.answer(update.user_id, update.points, update.op_id, durable=not self._down))
            self._under_way -= 1
            self._queue.task_done()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                if self._down:
                    await self._make_up()
                for session in self.sessions:
                    await self._read(session)
            except (RedisError, OSError):
                self._down = True

    async def _make_up(self) -> None:
        """Redis may be back: add what it missed."""
        await self._redis.ping()
        for (key, user_id), points in list(self._missing.items()):
            await self._redis.zincrby(key, points, user_id)
            self._missing[key, user_id] -= points
        self._down = False

    async def _read(self, session: Session) -> None:
        """Show what others have written."""
        before, busy = session.version, self._under_way
        rows = await self._redis.zrange(key_of(session), 0, -1, withscores=True)
        # Updates of this process that Redis had not counted yet must not vanish from the board.
        if session.version == before and not busy and not self._down:
            for user_id, score in rows:
                session.board.place(user_id, int(score))


def key_of(session: Session) -> str:
    """The ZSET of the session, where the account looks for it."""
    return f"leaderboard:{{{session.id}}}:1"
