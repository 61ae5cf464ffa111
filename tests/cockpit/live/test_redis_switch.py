"""The demo with a Redis of its own that is stopped and started: real services, a real Redis."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable

import pytest
import redis
from cockpit import Demo
from cockpit.host.processes import WITH_REDIS, get
from cockpit.host.websocket_client import ScoreAnswer

pytestmark = pytest.mark.starts_process


async def until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    demo = await Demo.start(redis=True)
    demo.panel()
    yield demo
    await demo.stop()


def in_redis(demo: Demo) -> dict[str, int]:
    """The ZSET of the demo's session, as a presenter reads it; empty where there is none."""
    with redis.Redis.from_url(demo.redis.url, decode_responses=True) as client:
        key = f"leaderboard:{{{demo.session}}}"
        board = client.zrange(f"{key}:{client.hget(key, 'generation')}", 0, -1, withscores=True)
    return {user: int(score) for user, score in board}


def on_the_board(demo: Demo) -> dict[str, int]:
    return {entry.user: entry.score for entry in demo.state.board.entries}


async def confirmed(demo: Demo, points: int) -> list[ScoreAnswer]:
    """Score until Redis confirms in time, which it may not on a busy machine; all the answers."""
    answers = [await demo.score(points)]
    while not answers[-1].durable:
        answers.append(await demo.score(points))
    return answers


async def test_the_game_goes_on_without_redis_and_nothing_is_lost(demo: Demo) -> None:
    """Stopped: shown as degraded, scores counted alone. Started, empty: all is there again, and in Redis too."""
    card = demo._dashboard.redis_card
    await until(lambda: card.button.description == "Stop Redis")
    await until(lambda: "in <b>Redis</b>" in demo._dashboard.status.widget.value)
    demo.simulate(players=8, rate=40)
    answers = await confirmed(demo, 10)
    await until(lambda: demo.state.board.players == 9)

    card.button.click()
    await until(lambda: demo.state.board.degraded and card.button.description == "Start Redis")
    assert not demo.redis.alive
    assert (await get(f"{demo.url}/health"))["status"] == "degraded"
    before = on_the_board(demo)
    await until(lambda: demo.state.outages.last.alone >= 20)
    alone = [await demo.score(20), await demo.score(30)]
    answers += alone
    await until(lambda: on_the_board(demo)["alice"] == sum(answer.points for answer in answers))
    assert "degraded: scores only in this process" in card._state.value
    await until(lambda: "degraded" in demo._dashboard.status.widget.value)
    assert "noticed after" in card.words.value
    assert "whole again" not in card.words.value

    card.button.click()
    await until(lambda: not demo.state.board.degraded and card.button.description == "Stop Redis")
    answers += await confirmed(demo, 40)
    demo.simulate(players=0, rate=0)
    await until(lambda: demo.bots.connected == 0)
    await until(lambda: on_the_board(demo) == in_redis(demo))
    assert not any(answer.durable for answer in alone)
    assert on_the_board(demo)["alice"] == sum(answer.points for answer in answers)
    assert all(on_the_board(demo)[user] >= score for user, score in before.items())
    outage = demo.state.outages.last
    assert outage.alone == outage.confirmed >= 22
    assert outage.noticed_after > 0
    assert outage.whole_after > 0
    await until(lambda: "whole again after" in card.words.value)
    assert [mark.moment.label for mark in demo.view().marks] == ["stop", "noticed", "start", "whole again"]
    svg = (await demo.snapshot()).data
    assert all(svg.count(f">{label}<") == 2 for label in ("stop", "noticed", "start", "whole again"))
    assert demo.troubles == []


async def test_a_redis_that_crashes_can_be_started_by_the_button(demo: Demo) -> None:
    """Ended by something else than the button it is shown as away, and comes back at the button's press.

    Stop everything waits for a start that is under way and leaves no server; the button can do nothing any more.
    """
    await demo.score(10)
    os.kill(demo.redis.pid, signal.SIGKILL)
    await until(lambda: demo.state.board.degraded and demo._dashboard.redis_card.button.description == "Start Redis")
    demo._dashboard.redis_card.button.click()
    await until(lambda: not demo.state.board.degraded and in_redis(demo) == {"alice": 10})
    await until(lambda: "it went away by itself, whole again after" in demo._dashboard.redis_card.words.value)
    assert demo.troubles == []

    await demo.stop_redis()
    starting = asyncio.create_task(demo.start_redis())
    await asyncio.sleep(0)
    await demo.stop()
    await asyncio.gather(starting)
    assert not demo.redis.alive
    assert not demo.service.alive
    assert demo._dashboard.redis_card.button.disabled
    await demo.redis.switch_on()
    assert not demo.redis.alive


async def test_without_being_asked_for_there_is_no_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment says it for cells that do not; a cell that says no has memory, whatever the environment says."""
    monkeypatch.setenv(WITH_REDIS, "1")
    demo = await Demo.start()
    assert demo.redis.alive
    await demo.stop()
    demo = await Demo.start(redis=False)
    demo.panel()
    assert demo.redis is demo._dashboard.redis_card is None
    await until(lambda: "in <b>memory</b>" in demo._dashboard.status.widget.value)
    with pytest.raises(RuntimeError, match="redis=True"):
        await demo.stop_redis()
    await demo.stop()
