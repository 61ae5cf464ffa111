"""The service's processes under test: start, restart, kill, and ask how they are."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from chaos.proxy import Proxy
from chaos.timeline import Life

from loadtest.target.processes import Service

SESSION = "CHAOS"
TESTS = Path(__file__).parents[1]
POLL = 0.02  # seconds between two looks


@dataclass(frozen=True, slots=True)
class State:
    """Where a worker stands."""

    status: str
    epoch: str
    version: int
    board: tuple[tuple[str, int], ...]

    @property
    def settled(self) -> bool:
        """Whether it is healthy and in a shared epoch."""
        return self.status == "healthy" and "~" not in self.epoch


class Worker:
    """One `python -m service` behind a proxy of its own, always on the same port."""

    def __init__(self, number: int, proxy: Proxy, players: int, environment: Mapping[str, str]) -> None:
        self.number = number
        self.proxy = proxy
        self.degraded = False  # by its last board
        self.life = Life(number, 0)
        self.service: Service | None = None
        self._environment = environment
        self._arguments = (
            *("--redis-url", proxy.url),
            *("--rate", "100000", "--burst", "100000"),
            *("--top", str(min(players, 1000))),
        )
        self._port = 0

    @property
    def ws_url(self) -> str:
        """The WebSocket address."""
        return f"ws://127.0.0.1:{self._port}/ws"

    @property
    def log(self) -> list[str]:
        """The last lines that its present process logged."""
        return self.service.log if self.service is not None else []

    async def start(self) -> None:
        """Start and wait until it has read Redis."""
        self.life = Life(self.number, self.life.number + 1)
        self.service = await asyncio.to_thread(Service, self._arguments, port=self._port, environment=self._environment)
        self._port = urlsplit(self.service.url).port or 0
        async with asyncio.timeout(20):
            while (await self.get("/ready"))["status"] != "ready":
                await asyncio.sleep(POLL)
        self.life.born = time.monotonic()

    async def stop(self) -> int:
        """End it with SIGTERM, as a deployment does; return its exit status."""
        if self.service is None:
            return 0
        service, self.service = self.service, None
        service.process.terminate()
        return await asyncio.to_thread(service.stop)

    async def kill(self) -> None:
        """End it with SIGKILL."""
        assert self.service is not None
        service, self.service = self.service, None
        service.process.kill()
        await asyncio.to_thread(service.stop)

    async def get(self, path: str) -> dict[str, Any]:
        """The answer to a GET. Raises OSError (TimeoutError too)."""
        # By hand: three workers are asked fifty times a second, twice each, by the process that carries the proxies and
        # the players. There httpx, which takes 3 ms of CPU for a call where this takes 0.4, would take a core.
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                answer = await reader.read()
            finally:
                writer.close()
        body = answer.partition(b"\r\n\r\n")[2]
        if not body:
            raise ConnectionResetError(f"expected an answer to {path}, got {answer[:100]!r}")
        return json.loads(body)

    async def state(self, *, limit: int = 1) -> State:
        """Where it stands, with so many rows of its board. Raises OSError."""
        health, page = await asyncio.gather(self.get("/health"), self.get(f"/api/leaderboard/{SESSION}?limit={limit}"))
        board = tuple((row["userId"], row["score"]) for row in page["leaderboard"])
        return State(health["status"], page["epoch"], page["version"], board)


async def in_step(workers: Sequence[Worker], limit: float, *, left: str | None = None) -> float | None:
    """Seconds until every worker is healthy and has heard all that any of them knew; None when beyond the limit.

    While players score, boards are never equal for long. So the highest version is taken at the first look
    that finds all of them healthy in one shared epoch, and then each has to reach it. An epoch that has to be
    `left` does not count: data were lost, and who still shows it has not noticed.
    """
    began = time.monotonic()
    goal: tuple[str, int] | None = None
    while time.monotonic() - began < limit:
        states = await states_of(workers)
        epochs = {state.epoch for state in states}
        if len(states) < len(workers) or len(epochs) > 1 or left in epochs or not all(s.settled for s in states):
            goal = None
        elif goal is None or goal[0] not in epochs:
            goal = (epochs.pop(), max(state.version for state in states))
        if goal is not None and all(state.version >= goal[1] for state in states):
            return time.monotonic() - began
        await asyncio.sleep(POLL)
    return None


async def states_of(workers: Sequence[Worker], *, limit: int = 1) -> list[State]:
    """The states of the workers that answer."""
    states = await asyncio.gather(*(worker.state(limit=limit) for worker in workers), return_exceptions=True)
    return [state for state in states if isinstance(state, State)]
