"""The desk: real services, a real Redis, real swarms, and what each button does to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import httpx
import psutil
import pytest
from cockpit import SwarmDesk
from cockpit.desk.desk import KNEE_SECONDS
from cockpit.desk.knee_search_state import OUTCOMES
from cockpit.desk.service_under_test import Setting
from cockpit.runs.load_run import shown_spec
from process_family import is_locust, runs

from loadtest.judge.knee_search import Outcome
from loadtest.report.run_file import read

pytestmark = pytest.mark.starts_process


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def measuring(desk: SwarmDesk) -> bool:
    return bool(desk.progress and desk.progress.last and desk.progress.last.phase == "measure")


async def test_stop_is_heard_while_a_swarm_is_only_being_started(desk: SwarmDesk) -> None:
    """Pressed before there is a swarm, it ends the one that comes; nothing is measured and nothing has failed."""
    controls = desk._controls
    controls.start.click()
    await until(lambda: desk.busy)
    assert desk.swarm is None
    controls.stop.click()
    await until(lambda: desk.swarm and not controls.start.disabled, 15)
    assert not desk.swarm.running
    assert not any(second.phase == "measure" for second in desk.progress.seconds)


@pytest.mark.usefixtures("brief_warm_up")
async def test_a_search_plays_rising_numbers_and_draws_each_run(desk: SwarmDesk) -> None:
    """Each number is a run on file, with a verdict that is shown, against a service of its own, which is gone then.

    The chart shows what the files say.
    """
    assert repr(desk) == "no swarm yet"
    gates = ("latency_p99<1us",)
    drawn: list[object] = []
    desk._display.knee_chart._now.observe(lambda change: drawn.append(change.new), "y")
    search = await desk.find_knee(8, 16, rate=8, duration=2, tick_ms=20, gates=gates, trials=2)
    lines = [read(path) for path in sorted(desk.folder.glob("*.jsonl"))]
    verdicts = [line[-1]["verdict"] for line in lines]
    assert [line[0]["arguments"]["players"] for line in lines] == [trial.players for trial in search.trials]
    assert len({line[0]["target"] for line in lines}) == len(lines) == 2
    assert [OUTCOMES[verdict] for verdict in verdicts] == [trial.outcome for trial in search.trials]
    assert all(line[-1]["gates"] == [{"gate": gates[0], "held": False}] for line in lines)
    assert all(line[-1]["metrics"]["updates"] > 10 for line in lines)
    assert Outcome.HELD not in {trial.outcome for trial in search.trials}  # one microsecond holds for nobody
    assert search.knee.holds is search.breaks_after is None
    assert search.over
    assert drawn  # while it played
    await until(
        lambda: "no knee" in desk._display.knee_chart._words.value or "no run" in desk._display.knee_chart._words.value
    )
    assert repr(search) in repr(desk.panel())
    assert desk.target is None
    path, verdict = desk.swarm.path, desk.swarm.verdict
    assert path.name.endswith("-steady-memory-1w-20ms.jsonl")
    assert path.with_suffix(".html").exists()
    assert verdict.name in {"FAIL", "INVALID"}
    assert any(reason.startswith("latency_p99<1us: it was") for reason in verdict.reasons)
    await until(lambda: f'data-verdict="{verdict.name}"' in desk._display.verdict_card._state.value)
    assert "latency_p99&lt;1us: it was" in desk._display.verdict_card._words.value
    assert verdict.name in repr(desk.panel())
    assert any(second.pairs for second in desk.progress.seconds)


@pytest.mark.usefixtures("brief_warm_up")
async def test_a_search_is_begun_and_stopped_by_its_buttons(desk: SwarmDesk) -> None:
    """It plays under the gate of its slider; Stop ends it, and what was cut short says nothing."""
    controls = desk._controls
    controls.players.value, controls.rate.value, controls.bound.value = 20, 10, 70
    controls.knee.click()
    await until(lambda: measuring(desk))
    facts = desk.progress.facts
    assert (facts["arguments"]["players"], facts["arguments"]["measureSeconds"]) == (20, KNEE_SECONDS)
    assert facts["arguments"]["gates"][0] == "latency_p99<70ms"
    assert desk.knee_search.playing == 20
    assert controls.knee.disabled
    assert controls.start.disabled
    assert not controls.stop.disabled
    assert controls.faults.redis.disabled
    assert controls.faults.kill.disabled
    pid = desk.target.service.pid
    controls.stop.click()
    await until(lambda: desk.knee_search.over and not controls.knee.disabled)
    assert desk.knee_search.trials == []
    assert desk.swarm.verdict.name == "INVALID"
    assert "interrupted after" in desk.swarm.verdict.reasons[0]
    assert not psutil.pid_exists(pid)
    with pytest.raises(ValueError, match="expected a gate like latency_p99<100ms"):
        await desk.find_knee(gates=("lost==0",))
    with pytest.raises(ValueError, match="a replay has the players of its log"):
        await desk.find_knee(scenario="replay")


async def test_stopping_everything_ends_a_swarm_under_way(desk: SwarmDesk) -> None:
    """Start sends what the sliders say; swarm, service and Locust's web UI are gone with the desk, and it is over."""
    controls = desk._controls
    controls.players.value, controls.rate.value, controls.duration.value = 30, 15, 60
    controls.scenario.value = "audience"
    # A browser or a service that other tests share lives on, whichever tests ran before this one.
    others = psutil.Process().children(recursive=True)
    controls.start.click()
    await until(lambda: desk.target)
    controls.locust.click()
    await until(lambda: desk.progress and desk.progress.last)
    facts = desk.progress.facts
    assert (facts["scenario"], facts["arguments"]["players"], facts["arguments"]["measureSeconds"]) == (
        "audience", 30, 60.0,
    )  # fmt: skip
    await until(lambda: "href" in controls.link.value)
    address = controls.link.value.split('"')[3]
    async with httpx.AsyncClient(trust_env=False) as http:
        assert "Locust" in (await http.get(address)).text
    family = [child for child in psutil.Process().children(recursive=True) if child not in others]
    # The swarm's, the web UI's, and the parent watch of the latter.
    assert len([child for child in family if is_locust(child)]) == 3
    controls.stop_all.click()
    await until(lambda: not [child for child in family if runs(child)])
    assert controls.stop_all.disabled
    with pytest.raises(RuntimeError, match="the desk was stopped"):
        await desk.run()


async def test_what_cannot_be_played_is_refused_in_words(desk: SwarmDesk) -> None:
    """Several workers in memory, an unknown scenario, a rate that no player may send at: refused in words."""
    with pytest.raises(ValueError, match="2 workers need Redis"):
        Setting(workers=2)
    with pytest.raises(ValueError, match="expected a scenario, one of steady"):
        await desk.run(scenario="storm")
    with pytest.raises(ValueError, match="at most 16 updates a second per player"):
        await desk.run(players=10, rate=1000)
    assert desk.troubles == []  # the cell has it
    assert desk.swarm is desk.target is None  # nothing was started
    desk._controls.players.value, desk._controls.rate.value = 10, 1000
    desk._controls.start.click()
    await until(lambda: desk.troubles)
    assert desk.troubles[0].startswith("starting the swarm failed: ValueError: expected at most 16 updates a second")
    desk._troubles.dismiss()
    await until(lambda: not desk.busy)
    with pytest.raises(RuntimeError, match="no swarm plays"):
        await desk.freeze()


async def test_a_swarm_that_cannot_write_its_run_says_why(desk: SwarmDesk) -> None:
    """A swarm that ends without a verdict is a failure of the button, in the swarm's own words; its service is gone."""
    desk.folder = desk.folder / "file"
    desk.folder.touch()
    controls = desk._controls
    controls.players.value, controls.rate.value = 10, 10
    controls.start.click()
    await until(lambda: desk.troubles, 60)
    assert desk.troubles[0].startswith("starting the swarm failed: ServiceFailed: the swarm ended with status")
    assert str(desk.folder) in desk.troubles[0]
    desk._troubles.dismiss()
    await until(lambda: desk.target is None)


def test_a_spec_for_the_desk_says_what_to_play() -> None:
    """The options of the load test for a spec: a session and a process id, and the kit's log for a replay."""
    options = replace(shown_spec(40, 20.0, 5.0), session="DEMO", service_pid=7).to_options()
    assert options[0] == "steady"
    assert options[-2:] == ["--session=DEMO", "--service-pid=7"]
    assert any(option.startswith("--log=") for option in shown_spec(scenario="replay").to_options())
