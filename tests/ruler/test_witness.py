"""The load test's bounds against the packets on the wire, which it has no part in."""

from __future__ import annotations

import asyncio
import json
import time

import numpy as np
import pytest
from ruler.test_proofs import shape
from websockets.asyncio.client import connect

pytestmark = pytest.mark.starts_process
PERCENTS = (50.0, 90.0, 99.0)
WIDENED = 0.001  # seconds


def nearest_rank(values: np.ndarray, percent: float) -> float:
    return float(np.percentile(values, percent, method="inverted_cdf"))


class Audience:
    """Ten sockets of another library in the same session, whose boards are read by user code."""

    def __init__(self, url: str, session: str) -> None:
        self._url = url.replace("http", "ws", 1) + "/ws"
        self._session = session
        self.boards: list[tuple[float, int]] = []  # when it was read, its version
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._watch()) for _ in range(10)]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self) -> None:
        async with connect(self._url, compression=None) as socket:
            await socket.send(json.dumps({"type": "watch-demo", "data": {"sessionId": self._session}}))
            async for text in socket:
                now, message = time.time(), json.loads(text)
                if message["type"] == "leaderboard-update":
                    self.boards.append((now, message["data"]["version"]))


@pytest.mark.parametrize("number", range(10))
async def test_the_packets_lie_between_the_bounds(service, start_run, witness, found, number: int) -> None:
    """Of a hundred players the packets' p50, p90 and p99 are within the reported bounds, or a millisecond beside."""
    session = f"witness-{number}"
    packets = await witness(service.url)
    audience = Audience(service.url, session)
    run = await start_run(service.url, *shape(100, 80, 5, seed=number, session=session))
    await run.says("measure ")
    audience.start()
    result = await run.end()
    await audience.stop()
    shown = await packets.end()
    latencies = shown.latencies(*result.measured)
    assert len(latencies) > 100 * 80 * 3
    versions = {version: shown.scores[one] for one, (_, version) in shown.places.items() if one in shown.scores}
    read = [at - versions[version] for at, version in audience.boards if version in versions]
    told = []
    for percent in PERCENTS:
        name = f"latency_p{percent:g}"
        lower, upper, seen = result.lower[name], result.metrics[name], nearest_rank(latencies, percent)
        told.append(f"p{percent:g} {lower * 1e3:.1f} ≤ {seen * 1e3:.1f} ≤ {upper * 1e3:.1f}")
        assert lower - WIDENED <= seen <= upper + WIDENED, (told, result.last["reasons"])
    another = ", ".join(f"p{percent:g} {nearest_rank(np.array(read), percent) * 1e3:.1f}" for percent in PERCENTS)
    found(f"(h) {result.verdict}, ms: {'; '.join(told)}; boards at another library, from their last score: {another}")
