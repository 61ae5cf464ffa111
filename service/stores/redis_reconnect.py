"""The life of the connection to Redis: connect, lose it, wait, connect again."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final

from service.core.line_budget import LineBudget
from service.core.state_machine import next_state
from service.core.stream_messages import Message
from service.metrics import Metrics
from service.stores.redis_gateway import LINK_ERRORS, RedisGateway, connected
from service.stores.redis_link_state import (
    AWAY,
    CUT,
    CUT_SLOW,
    DEGRADED,
    ENDED,
    IN_TOUCH,
    LINK_TRANSITIONS,
    READ,
    STOP,
    STOPPED,
    UNREAD,
    LinkEvent,
    LinkState,
)

BACKOFF: Final = (0.05, 0.5)  # seconds between two tries to connect: the first, the longest

log = logging.getLogger("leaderboard.redis")

Serve = Callable[[RedisGateway], Awaitable[None]]


class RedisConnection:
    """One connection at a time to the Redis at `url`, made again whenever it ends.

    `serve` uses a connection until it ends; `changed` is called when one was read from or ended.
    """

    def __init__(self, url: str, worker: str, metrics: Metrics, *, serve: Serve, changed: Callable[[], None]) -> None:
        self.url = url
        self.state: LinkState = UNREAD
        self.was_read = asyncio.Event()  # set by the first reading since the start
        self._worker = worker
        self._metrics = metrics
        self._serve = serve
        self._changed = changed
        self._gateway: RedisGateway | None = None  # the connection that was read from
        self._lines = LineBudget()
        self._reason = ""  # why there is no connection, as it was logged last
        self._task: asyncio.Task[None] | None = None

    @property
    def degraded(self) -> bool:
        """Whether scores are kept in this process only, because Redis cannot be reached."""
        return self.state in DEGRADED

    def is_in(self, state: LinkState) -> bool:
        """Whether the link is in that state."""
        return self.state is state

    def start(self) -> None:
        """Begin to connect."""
        self._task = asyncio.create_task(self._stay_connected(), name="redis")
        self._task.add_done_callback(self._task_ended)

    async def stop(self, last: Iterable[Message]) -> None:
        """Publish the last messages, if there is a connection, and end it."""
        self.note(STOP)
        if self._gateway is not None:
            with suppress(*LINK_ERRORS):
                await self._gateway.publish(last)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def found(self, gateway: RedisGateway) -> None:
        """All sessions were read over this connection."""
        self._gateway = gateway
        self._reason = ""
        self.note(READ)
        self.was_read.set()
        self._changed()

    def note(self, event: LinkEvent) -> None:
        """Move on in `LINK_TRANSITIONS`. Raises `NoTransition`."""
        before, self.state = self.state, next_state(LINK_TRANSITIONS, self.state, event)
        if self.state is AWAY and before is not AWAY:
            log.warning(
                "Redis is away: scores are kept in this process until it is back", extra={"event": "redis-away"}
            )
        elif before is AWAY and self.state is IN_TOUCH:
            log.warning("Redis is back", extra={"event": "redis-back"})

    async def _stay_connected(self) -> None:
        pause, longest = BACKOFF
        # A cancellation alone may be taken for a time-out that ends in the same moment.
        while self.state is not STOPPED:
            began = time.monotonic()
            await self._connect()
            # A connection that was cut does not mean that Redis is away: the next try says so.
            self.note(ENDED)
            self._changed()
            if self.state in {CUT, CUT_SLOW} and time.monotonic() - began > longest:
                pause = BACKOFF[0]
                continue
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, longest)

    async def _connect(self) -> None:
        try:
            async with connected(self.url, self._worker, self._lines) as gateway:
                await self._use(gateway)
        except LINK_ERRORS as error:
            self._log_reason(str(error))
        except Exception:
            log.exception("the link to Redis failed", extra={"event": "redis-link-failed"})
            self._metrics.background_failures.inc()

    async def _use(self, gateway: RedisGateway) -> None:
        try:
            await self._serve(gateway)
        finally:
            self._gateway = None

    def _log_reason(self, reason: str) -> None:
        """Log why there is no connection; the same reason, which comes twice a second, only once."""
        if reason != self._reason:
            self._reason = reason
            log.info("no link to Redis: %s", reason, extra={"event": "redis-no-link"})

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            log.critical("the task that keeps the link to Redis ended", exc_info=task.exception())
