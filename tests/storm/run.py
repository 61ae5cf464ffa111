"""A run: the crowd is cut, the service restarts, slow handshakes come between; all come back, and REST goes on."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from urllib.parse import urlsplit

from storm.crowd import SESSION, Crowd, SlowHandshakes
from watched_service import WatchedService, cpu_seconds

QUIET = 0.2  # of a core
WINDOW = 0.5  # seconds over which CPU is measured
ASK_EVERY = 0.05  # seconds between two calls
PATIENCE = 10.0  # seconds for the answer to a call

Say = Callable[[str], None]


class Run:
    """One storm after the other over one crowd."""

    def __init__(self, options: argparse.Namespace, say: Say) -> None:
        self._options = options
        self._say = say
        self._faults: list[str] = []
        self._statuses: Counter[str] = Counter()
        self._restarts = False
        self._port = 0

    async def play(self) -> list[str]:
        """Play; return what was wrong."""
        await self._start()
        crowd = Crowd(self._service.ws_url, self._options.sockets, self._options.seed)
        calls = asyncio.create_task(self._call())
        try:
            await self._storm("arrival", crowd, _nothing)
            for _ in range(self._options.rounds):
                await self._storm("cut", crowd, crowd.cut)
                await self._storm("restart", crowd, self._restart)
                await self._slow_handshakes(crowd)
        finally:
            calls.cancel()
            await asyncio.gather(calls, return_exceptions=True)
            await crowd.leave()
            await self._stop()
        self._say(f"REST: {dict(self._statuses)}; attempts that failed: {dict(crowd.failed)}")
        wrong = {status: many for status, many in self._statuses.items() if status not in {"200", "while restarting"}}
        return [*self._faults, *([f"expected every call to be answered with 200, got {wrong}"] if wrong else [])]

    async def _storm(self, name: str, crowd: Crowd, strike: Callable[[], Awaitable[None] | None]) -> None:
        within = self._options.within
        began = time.monotonic()
        struck = strike()
        if struck is not None:
            await struck
        took = time.monotonic() - began
        back = await crowd.all_are_here(3 * within)
        quiet = await self._quiet_after()
        after = f" (away for {took:.1f} s)" if struck is not None else ""
        self._say(f"{name}{after}: {crowd.size} back after {_seconds(back)}, quiet after {_seconds(quiet)}")
        if back is None or back > within:
            self._faults.append(f"{name}{after}: expected all back within {within:g} s, got {_seconds(back)}")
        if quiet is None:
            self._faults.append(f"{name}: expected less than {QUIET:g} of a core {within:g} s later, got more")

    async def _slow_handshakes(self, crowd: Crowd) -> None:
        parts = urlsplit(self._service.url)
        slow = SlowHandshakes(parts.hostname, parts.port, crowd.size)
        try:
            await self._storm("cut among slow handshakes", crowd, crowd.cut)
        finally:
            await slow.end()

    async def _restart(self) -> None:
        self._restarts = True
        await self._stop()
        await self._start()
        self._restarts = False

    async def _start(self) -> None:
        self._service = await asyncio.to_thread(WatchedService, port=self._port)
        self._port = urlsplit(self._service.url).port or 0

    async def _stop(self) -> None:
        status = await asyncio.to_thread(self._service.stop)
        self._faults += self._service.faults()
        if status:
            self._faults.append(f"the service ended with {status}")

    async def _quiet_after(self) -> float | None:
        """Seconds until the service uses little CPU; None when that takes too long."""
        began = time.monotonic()
        while (started := time.monotonic()) < began + self._options.within:
            before = cpu_seconds(self._service.pid)
            await asyncio.sleep(WINDOW)
            if cpu_seconds(self._service.pid) - before < QUIET * WINDOW:
                return started - began
        return None

    async def _call(self) -> None:
        """Ask for the board again and again, each time on a new connection."""
        while True:
            status = await self._status()
            self._statuses["while restarting" if self._restarts and not status.isdigit() else status] += 1
            await asyncio.sleep(ASK_EVERY)

    async def _status(self) -> str:
        writer = None
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                path = f"/api/leaderboard/{SESSION}?limit=1"
                writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                answer = await reader.read()
        except OSError as error:
            return type(error).__name__
        finally:
            if writer is not None:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
        return answer[9:12].decode() or "nothing"


def _nothing() -> None:
    """The first arrival needs no strike."""


def _seconds(value: float | None) -> str:
    return "too long" if value is None else f"{value:.1f} s"
