"""The faults of a desk: what each of their buttons does to a real service under a real swarm."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psutil
import pytest
from cockpit import SwarmDesk

from loadtest.judge.gates import Verdict
from loadtest.report.run_file import read

pytestmark = pytest.mark.starts_process


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def is_well(desk: SwarmDesk, seconds: float = 30.0) -> None:
    """Wait until nothing is wrong: on a busy machine one answer alone may be late."""
    async with asyncio.timeout(seconds):
        while (problem := await desk.target.problem()) is not None:
            assert problem.startswith("no answer"), problem


def measuring(desk: SwarmDesk) -> bool:
    return bool(desk.progress and desk.progress.last and desk.progress.last.phase == "measure")


@pytest.mark.usefixtures("brief_warm_up")
async def test_faults_are_marked_timed_and_survived(desk: SwarmDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis, a freeze, a worker and stalled readers: each shows, is over, and is in the file of the run."""
    # The frames of twenty players do not fill a reader's buffers, so it stalls as long as it may.
    monkeypatch.setattr("cockpit.desk.fault_injection.STALLED_FOR", 2.0)
    controls = desk._controls
    controls.workers.value = 2
    await until(lambda: controls.storage.value == "redis")
    controls.players.value, controls.rate.value, controls.duration.value = 20, 10, 300
    controls.start.click()
    await until(lambda: measuring(desk))
    await is_well(desk)

    controls.faults.redis.click()
    await until(lambda: controls.faults.redis.description == "Start Redis" and desk.faults[0].detected_at)
    assert not desk.target.redis.alive
    controls.faults.redis.click()
    await until(lambda: desk.faults[0].over and controls.faults.redis.description == "Stop Redis")
    assert desk.faults[0].seen_as == "degraded"

    controls.faults.freeze.click()
    await until(lambda: len(desk.faults) == 2 and desk.faults[1].over)
    assert desk.faults[1].detected_after > 0.2
    assert "no answer" in desk.faults[1].seen_as

    before = desk.target.workers()
    controls.faults.kill.click()
    await until(lambda: len(desk.faults) == 3 and desk.faults[2].over)
    after = desk.target.workers()
    assert before[0] not in after
    assert len(after) == 2
    assert desk.faults[2].detected_after is not None

    controls.faults.stall.click()
    await until(lambda: len(desk.faults) == 4)
    await until(lambda: desk.faults[3].over)
    assert str(desk.faults[3]).startswith("1 reader stalled")

    assert controls.start.disabled
    pid = desk.target.service.pid
    controls.stop.click()
    await until(lambda: desk.swarm.verdict and not controls.start.disabled)
    assert "interrupted after" in desk.swarm.verdict.reasons[0]
    assert not psutil.pid_exists(pid)
    marks = [line["text"] for line in read(desk.swarm.path) if line["kind"] == "mark"]
    for text in ("Redis stopped", "Redis started", "service frozen for 1 s", "a worker killed", "1 reader stalled"):
        assert text in marks
    assert "recovered after" in desk._display.verdict_card._faults.value
    ends = {line["text"]: line["until"] for line in read(desk.swarm.path) if "until" in line}
    assert ends == {fault.name: fault.recovered_at for fault in desk.faults}
    # Stopped early, the run is INVALID; it is judged outside its faults all the same, and both are shown.
    outside = desk.progress.outside
    assert outside.left_out[0][0] == pytest.approx(desk.faults[0].at, abs=0.001)
    assert outside.judgement.verdict is Verdict.INVALID
    assert outside.lines[0] in desk._display.verdict_card._words.value
    assert outside.lines[-1] in repr(desk)
    assert "Outside the faults" in desk.swarm.path.with_suffix(".html").read_text("utf-8")
