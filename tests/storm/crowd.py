"""An audience that comes back: each guest is a socket that joins, and after a loss reconnects as the contract says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from random import Random

from websockets.exceptions import InvalidHandshake

from loadtest.transport.asyncio_socket import Ended, Wire
from loadtest.transport.reconnect import wait_before

SESSION = "STORM"
POLL = 0.02  # seconds between two looks


class Crowd:
    """All guests."""

    def __init__(self, url: str, size: int, seed: int) -> None:
        self.url = url
        self.size = size
        self.failed: Counter[str] = Counter()  # attempts, by why
        self._here: dict[int, Wire] = {}
        self._guests = [asyncio.create_task(self._stay(number, Random(f"{seed} {number}"))) for number in range(size)]

    def cut(self) -> None:
        """Reset every connection at once."""
        for wire in self._here.values():
            wire.abort()
        self._here.clear()

    async def all_are_here(self, within: float) -> float | None:
        """Seconds until all have joined; None when it takes longer than that."""
        began = time.monotonic()
        while len(self._here) < self.size:
            if time.monotonic() > began + within:
                return None
            await asyncio.sleep(POLL)
        return time.monotonic() - began

    async def leave(self) -> None:
        """End all guests."""
        for guest in self._guests:
            guest.cancel()
        await asyncio.gather(*self._guests, return_exceptions=True)
        self.cut()

    async def _stay(self, number: int, rng: Random) -> None:
        join = json.dumps({"type": "join-demo", "data": {"userId": f"guest-{number}", "sessionId": SESSION}}).encode()
        attempt, code = 0, None
        while True:
            ended = asyncio.Event()
            try:
                wire = await Wire.connect(self.url, ended.set)
                await wire.ask(join, lambda _rank: True)
            except (Ended, InvalidHandshake, OSError) as error:
                self.failed[type(error).__name__] += 1
                code = error.code if isinstance(error, Ended) else None
            else:
                attempt, self._here[number] = 0, wire
                await ended.wait()
                if self._here.get(number) is wire:
                    del self._here[number]
                code = wire.code
            await asyncio.sleep(wait_before(attempt, code, rng))
            attempt += 1


class SlowHandshakes:
    """Connections whose request never ends: a byte now and then."""

    EVERY = 0.5  # seconds

    def __init__(self, host: str, port: int, size: int) -> None:
        self._tasks = [asyncio.create_task(self._dawdle(host, port)) for _ in range(size)]

    async def end(self) -> None:
        """End them all."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _dawdle(self, host: str, port: int) -> None:
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(host, port)
                try:
                    writer.write(b"GET /ws HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
                    while not writer.is_closing():
                        writer.write(b"x")
                        await asyncio.sleep(self.EVERY)
                        await writer.drain()
                finally:
                    writer.transport.abort()
            await asyncio.sleep(self.EVERY)
