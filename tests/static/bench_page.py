"""What a lively board costs the browser, measured by the browser: `pytest tests/static/bench_page.py`.

Not among the tests that `pytest` finds by itself: the figures are those of a quiet machine.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from peer import Peer
from playwright.async_api import Browser, CDPSession, Page

from loadtest.target.processes import Service

ROWS = 50
SECONDS = 20.0
MOVERS = 5  # players who score in every tick; nearly every row moves then
BUSY = 0.5  # of the page's main thread, at most
GAP = 100.0  # ms between two frames, at most
FIRST_BOARD = 1_000  # ms, at most
BOARDS = 10_000
HEAP = 1_000_000  # bytes that may be more after so many boards
CATEGORIES = [
    "devtools.timeline", "disabled-by-default-devtools.timeline", "disabled-by-default-devtools.timeline.frame",
]  # fmt: skip

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@dataclass
class Crowd:
    """The players who keep the board in motion."""

    boards: int = 0  # that one of them has got


@asynccontextmanager
async def lively(service: Service, connect: Callable[..., Any], pause: float) -> AsyncIterator[Crowd]:
    """A board of fifty, in which a few players win and lose points every `pause` seconds."""
    address = f"ws{service.url.removeprefix('http')}/ws"
    peers: list[Peer] = [await connect(address) for _ in range(MOVERS)]
    for i in range(ROWS):
        await peers[i % MOVERS].join(f"p{i}", username=f"Player {i}")
        await peers[i % MOVERS].score(1000 + i)
    crowd = Crowd()

    async def count(peer: Peer) -> None:
        async for frame in peer.socket:
            crowd.boards += peer is peers[0] and str(frame).startswith('{"type":"leaderboard-update"')

    async def play() -> None:
        chance = random.Random(7)
        for tick in itertools.count():
            for peer in peers:
                await peer.send("update-score", points=chance.randint(-60, 60))
            await asyncio.sleep(pause if tick else 0)

    tasks = [asyncio.create_task(work) for work in (*map(count, peers), play())]
    try:
        yield crowd
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@dataclass(frozen=True)
class Trace:
    """A recording of the browser; times in ms."""

    events: list[dict[str, Any]]

    def main_thread(self) -> tuple[int, int]:
        """The process and thread that ran the page: the busiest main thread of a renderer."""
        mains = {
            (event["pid"], event["tid"])
            for event in self.events
            if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
        }
        return max(mains, key=lambda thread: sum(task["dur"] for task in self.tasks(thread)))

    def tasks(self, thread: tuple[int, int]) -> list[dict[str, Any]]:
        """The tasks of a thread that have ended, in order; one within another is not counted again."""
        tasks: list[dict[str, Any]] = []
        ran = (event for event in self.events if event["name"] == "RunTask" and "dur" in event)
        for event in sorted(ran, key=lambda event: event["ts"]):
            after = not tasks or event["ts"] >= tasks[-1]["ts"] + tasks[-1]["dur"]
            if (event["pid"], event["tid"]) == thread and after:
                tasks.append(event)
        return tasks

    def frames(self, process: int) -> list[float]:
        """When a frame of the page was drawn."""
        return sorted({e["ts"] / 1000 for e in self.events if e["name"] == "DrawFrame" and e["pid"] == process})


def tell(capsys: pytest.CaptureFixture[str], figures: str) -> None:
    """Print figures, asked for or not."""
    with capsys.disabled():
        sys.stdout.write(figures + "\n")


@pytest.mark.parametrize(("query", "size"), [("user=p7", (1280, 800)), ("view=board", (1920, 1080))])
async def test_frames(
    start_service: Any, visit: Any, connect: Any, browser: Browser, capsys: Any, query: str, size: tuple[int, int]
) -> None:
    """With fifty rows and twenty boards a second the main thread is half idle and no frame is late."""
    service = start_service("--top", str(ROWS), "--rate", "1000", "--burst", "1000")
    async with lively(service, connect, 0.05) as crowd:
        page = await visit(f"{service.url}/?{query}", size=size)
        await page.wait_for_selector(f"[data-board] > li:nth-child({ROWS})")
        await browser.start_tracing(page=page, categories=CATEGORIES)
        before, since = crowd.boards, time.monotonic()
        await asyncio.sleep(SECONDS)
        boards = (crowd.boards - before) / (time.monotonic() - since)
        trace = Trace(json.loads(await browser.stop_tracing())["traceEvents"])
    thread = trace.main_thread()
    tasks, frames = trace.tasks(thread), trace.frames(thread[0])
    span = (tasks[-1]["ts"] - tasks[0]["ts"]) / 1000
    busy = sum(task["dur"] for task in tasks) / 1000 / span
    gaps = sorted(later - earlier for earlier, later in itertools.pairwise(frames))
    tell(
        capsys,
        f"\n{ROWS} rows ({query}), {boards:.1f} boards/s for {span / 1000:.1f} s: main thread {busy:.1%} busy, "
        f"longest task {max(task['dur'] for task in tasks) / 1000:.0f} ms; {1000 * len(frames) / span:.1f} frames/s, "
        f"gap p50 {gaps[len(gaps) // 2]:.1f} ms, p99 {gaps[len(gaps) * 99 // 100]:.1f} ms, greatest {gaps[-1]:.1f} ms",
    )
    assert boards >= 19
    assert busy <= BUSY
    assert gaps[-1] <= GAP


async def weigh(page: Page, session: CDPSession) -> tuple[int, int, int]:
    """The page's live heap in bytes, its nodes and its listeners, after a full collection."""
    for _ in range(2):
        await session.send("HeapProfiler.collectGarbage")
    heap = (await session.send("Runtime.getHeapUsage"))["usedSize"]
    counted = await session.send("Memory.getDOMCounters")
    return int(heap), counted["nodes"], counted["jsEventListeners"]


async def test_memory(start_service: Any, visit: Any, connect: Any, capsys: Any) -> None:
    """After ten thousand boards the page holds what it held after a thousand."""
    service = start_service("--top", str(ROWS), "--rate", "1000", "--burst", "1000", "--tick-ms", "8")
    async with lively(service, connect, 0.008) as crowd:
        page = await visit(f"{service.url}/?user=p7", size=(1280, 800))
        session = await page.context.new_cdp_session(page)
        weights = []
        for boards in (BOARDS // 10, BOARDS):
            goal = crowd.boards + boards
            while crowd.boards < goal:
                await asyncio.sleep(0.1)
            weights.append(await weigh(page, session))
    (heap, nodes, listeners), after = weights
    tell(
        capsys,
        f"\n{BOARDS:,} boards: heap {heap / 1e6:.2f} → {after[0] / 1e6:.2f} MB, nodes {nodes} → {after[1]}, "
        f"listeners {listeners} → {after[2]}",
    )
    assert after[0] - heap <= HEAP
    assert after[1] - nodes <= 100  # a row holds some ten; notices and marks come and go
    assert after[2] == listeners


async def test_the_first_board_comes_within_a_second(start_service: Any, visit: Any, capsys: Any) -> None:
    """From navigation to a live board it takes less than a second, in the median of nine reloads."""
    page = await visit(start_service().url)
    times = []
    for _ in range(9):
        await page.reload()
        await page.evaluate(
            """() => new Promise((done) => { const live = () => document.documentElement.dataset.connection === "live"
                ? done() : requestAnimationFrame(live); live() })"""
        )
        times.append(await page.evaluate("performance.now()"))
    first = statistics.median(times)
    tell(capsys, f"first board: {first:.0f} ms after navigation ({min(times):.0f} to {max(times):.0f})")
    assert first < FIRST_BOARD
