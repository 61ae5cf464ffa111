"""Rewind and swarm on the live demo: real services, a real swarm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
from cockpit import Demo
from cockpit.live.live_state import SECONDS_KEPT, BoardRow, BoardView, LiveState

pytestmark = pytest.mark.starts_process


def board(version: int, score: int) -> BoardView:
    entry = BoardRow(1, "alice", "Alice", "A", "#000", score, connected=True)
    return BoardView("e", version, 1, 99.0, (entry,), 1, 1)


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.fixture
async def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Demo]:
    monkeypatch.chdir(tmp_path)
    demo = await Demo.start()
    demo.panel()
    yield demo
    await demo.stop()
    assert demo.troubles == []


def test_the_past_is_as_it_was() -> None:
    """Board, rate and latency of an earlier instant; an empty board before the first; ten minutes at most."""
    state = LiveState()
    for at in range(100, 110):
        state.take_board(board(at, at), at + 0.5)
    past = state.past(105.0)
    assert past.board.entries[0].score == 104
    assert past.updates[-1] == 1
    assert sum(past.updates) == 5
    assert state.view(110.0).board.entries[0].score == 109
    assert state.past(100.0).board == BoardView()
    for at in range(110, 100 + 2 * SECONDS_KEPT):
        state.take_board(board(at, at), at + 0.5)
    assert len(state._seconds) == SECONDS_KEPT
    assert state.past(100.0 + SECONDS_KEPT - 1).board == BoardView()


async def test_the_slider_goes_back_and_to_live(demo: Demo) -> None:
    """Back in time the charts stand still while the board moves on; LIVE shows the current board again."""
    await demo.score(10)

    def drawn() -> float:
        return float(demo._dashboard.board._bars.x.max())

    await until(lambda: drawn() == 10)
    began = demo.player.now()
    await until(lambda: demo.player.now() >= began + 2.2)
    await demo.score(50)
    await until(lambda: drawn() == 60)
    demo._dashboard.time_slider.slider.value = -2
    await until(lambda: drawn() == 10)
    assert not demo._dashboard.time_slider.live.disabled
    await demo.score(100)
    await until(lambda: demo.state.board.entries[0].score == 160)
    assert drawn() == 10
    demo._dashboard.time_slider.live.click()
    await until(lambda: drawn() == 160)
    assert demo._dashboard.time_slider.live.disabled
    assert "LIVE" in demo._dashboard.time_slider._words.value


async def test_a_swarm_plays_on_the_demo(demo: Demo) -> None:
    """Its players are on the demo's own board; stopped early it says so; a running one ends with the demo."""
    swarm = await demo.swarm(players=30, rate=30, duration=60)
    panel = swarm.panel()
    await until(lambda: swarm.progress.last and swarm.progress.last.phase == "measure")
    await until(lambda: demo.state.board.players > 10 and demo.state.board.participants == 31)
    assert "30 connected" in repr(swarm)
    await swarm.stop()
    assert (await swarm.done()).verdict.name == "INVALID"
    assert "INVALID – " in repr(panel)
    assert swarm.path.parent == Path("runs")
    again = await demo.swarm(players=10, rate=10)
    await until(lambda: again.progress.facts)
    family = psutil.Process(again.pid).children(recursive=True)
    assert family
    await demo.stop()
    assert not again.running
    await until(lambda: not [child for child in family if child.is_running() and child.status() != "zombie"])
