"""The service that a swarm is sent to, with its Redis and its workers, and the faults it can be given."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Self

import httpx
import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake

from cockpit.host.processes import RedisProcess, ServiceProcess
from loadtest.plan.run_spec import RunSpec, service_options
from loadtest.target.http_client import async_client

ANSWER_WITHIN = 0.25  # seconds
WORKER = "spawn_main"  # in the command line of a worker, and of no other child of its supervisor
MOST_STALLED = 100
FREEZE = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Setting:
    """How the service is run. Several workers share their board over Redis."""

    storage: str = "memory"
    workers: int = 1
    tick_ms: float = 50.0

    def __post_init__(self) -> None:
        if self.storage not in ("memory", "redis"):
            raise ValueError(f"expected memory or redis as storage, got {self.storage}")
        if self.workers > 1 and self.storage == "memory":
            raise ValueError(f"{self.workers} workers need Redis: in memory each would have its own board")

    @property
    def label(self) -> str:
        """A short form that fits in a file name."""
        return f"{self.storage}-{self.workers}w-{self.tick_ms:g}ms"

    def arguments(self, spec: RunSpec) -> list[str]:
        """Return the options of `python -m service` for a run."""
        return ["--workers", str(self.workers), "--tick-ms", f"{self.tick_ms:g}", *service_options(spec)]


class ServiceUnderTest:
    """A running service that the desk owns, and the faults that can be injected into it."""

    def __init__(self, setting: Setting, service: ServiceProcess, redis: RedisProcess | None) -> None:
        self.setting = setting
        self.service = service
        self.redis = redis

    @classmethod
    async def start(cls, setting: Setting, spec: RunSpec) -> Self:
        """Start it, with a Redis if the setting asks for one. Raises `processes.ServiceFailed`."""
        settings = {}
        async with contextlib.AsyncExitStack() as stack:
            redis = None
            if setting.storage == "redis":
                redis = await RedisProcess.start()
                stack.push_async_callback(redis.stop)
                settings["redis_url"] = redis.url
            service = await ServiceProcess.start(*setting.arguments(spec), **settings)
            stack.pop_all()
        return cls(setting, service, redis)

    async def stop(self) -> None:
        """End the service, then its Redis; a second call does nothing."""
        self._signal(signal.SIGCONT)
        await self.service.stop()
        if self.redis is not None:
            await self.redis.stop()

    async def freeze(self, seconds: float = FREEZE) -> None:
        """Stop all its processes for `seconds`."""
        self._signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._signal(signal.SIGCONT)

    def workers(self) -> list[int]:
        """Return the process ids of the workers, oldest first; with one worker it is the service itself."""
        if self.setting.workers == 1:
            return [self.service.pid] if self.service.alive else []
        with contextlib.suppress(psutil.Error):
            children = psutil.Process(self.service.pid).children()
            return [child.pid for child in children if _is_worker(child)]
        return []

    def kill_worker(self) -> int:
        """Kill the oldest worker with SIGKILL and return its process id. Raises `RuntimeError` if there is only one."""
        workers = self.workers()
        if self.setting.workers == 1 or not workers:
            raise RuntimeError("there is one worker: killing it would end the service; start with two or three")
        os.kill(workers[0], signal.SIGKILL)
        return workers[0]

    async def problem(self) -> str | None:
        """Return what is wrong with it now, in words, or None."""
        if (serving := await asyncio.to_thread(self._serving)) < self.setting.workers:
            return f"{serving} of {self.setting.workers} workers serve"
        health = await _health(self.service.url)
        if health is None:
            return f"no answer within {ANSWER_WITHIN * 1000:.0f} ms"
        return None if health == "healthy" else health

    def _serving(self) -> int:
        return sum(1 for pid in self.workers() if self.setting.workers == 1 or _listens(pid))

    def _signal(self, number: signal.Signals) -> None:
        # The service leads a group of its own, with all its workers.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.service.pid, number)


@contextlib.asynccontextmanager
async def stalled(ws_url: str, session: str, count: int) -> AsyncIterator[Callable[[], int]]:
    """Connect `count` watchers that stop reading; yield a function that returns how many are still connected.

    They do not play, so they change no board; `count` is at most 100.
    """
    hello = json.dumps({"type": "watch-demo", "data": {"sessionId": session}})
    async with contextlib.AsyncExitStack() as stack:
        sockets: list[ClientConnection] = []
        for _ in range(min(count, MOST_STALLED)):
            with contextlib.suppress(OSError, TimeoutError, InvalidHandshake):
                socket = await connect(ws_url, proxy=None, compression=None, ping_interval=None, close_timeout=0)
                stack.callback(socket.transport.abort)
                await socket.send(hello)
                socket.transport.pause_reading()
                sockets.append(socket)
        yield lambda: _connected(sockets)


def _connected(sockets: Sequence[ClientConnection]) -> int:
    """Return how many of the sockets, which are not read, are still open at the other end."""
    import select  # noqa: PLC0415 - `poll` is not on every platform

    poll = select.poll()
    ended = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)
    for socket in sockets:
        if (number := socket.transport.get_extra_info("socket").fileno()) >= 0:
            poll.register(number, ended)
    gone = {number for number, events in poll.poll(0) if events & ended}
    return sum(
        1 for socket in sockets
        if (number := socket.transport.get_extra_info("socket").fileno()) >= 0 and number not in gone
    )  # fmt: skip


def _is_worker(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.status() != psutil.STATUS_ZOMBIE and any(WORKER in part for part in process.cmdline())
    return False


def _listens(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return any(one.status == psutil.CONN_LISTEN for one in psutil.Process(pid).net_connections("tcp"))
    return False


async def _health(url: str) -> str | None:
    """Return the `status` of `GET /health`; None without an answer in time."""
    try:
        # The client's own time-out is for each step of a call; this one is for all of it.
        async with async_client(url, timeout=ANSWER_WITHIN) as http, asyncio.timeout(ANSWER_WITHIN):
            return str((await http.get("/health")).json()["status"])
    except (httpx.HTTPError, TimeoutError, ValueError, KeyError):
        return None
