"""What a desk makes of the lines of a run, and of what was done to a service: without a clock."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from cockpit.desk.charts import Cpu, Distribution, HeatMap, Percentiles, ReachAndSkew
from cockpit.runs.fault_timings import FaultKind, Faults
from cockpit.runs.jsonl_tail import JsonlTail
from cockpit.runs.progress import MARKS_KEPT, ROWS, SECONDS_KEPT, RunProgress, row_of
from cockpit.runs.verdict_card import FAULTS_SHOWN, VerdictCard, state

from loadtest.measure.run_totals import Second


def second(at: int, *latencies: float) -> dict:
    made = Second(at, "measure", players=3, sent=2, owed=10, missed=1, cpu={"local": 0.3})
    made.latency.record(latencies)
    made.service = {"http://a": {"cpu": 0.2, "memory": 1}, "http://b": {"cpu": 0.1, "memory": 1}}
    return {"kind": "second", **json.loads(json.dumps(made.to_dict()))}


def test_a_second_is_what_its_line_says() -> None:
    """Percentiles in ms, reach of what was owed, the service's CPU over all addresses, pairs by latency."""
    progress = RunProgress()
    progress.take(second(100, 0.005, 0.005, 0.5))
    last = progress.last
    assert (last.players, last.pairs, last.reach, last.generator) == (3, 3, 0.9, 0.3)
    assert abs(last.service - 0.3) < 1e-9
    assert abs(last.p50 - 5) < 0.1
    assert [count for count in last.heat if count] == [2, 1]
    assert last.heat[row_of(5)] == 2
    assert progress.total == list(last.heat)


def test_a_run_under_way_says_what_it_is_asked_and_how_far_it_is() -> None:
    """Scenario, players and rate; the seconds measured, and those to go, unless it runs until it is stopped."""
    asked = {"players": 200, "updatesPerSecondAndPlayer": 0.2, "measureSeconds": 30}
    progress = RunProgress()
    assert state(progress, running=True)[2][0] == "a new run"
    progress.take({"kind": "run", "scenario": "steady", "arguments": asked})
    assert state(progress, running=True)[2][0] == "steady: 200 players, 40 scores a second"
    for at in range(12):
        progress.take(second(at, 0.005))
    _, title, lines = state(progress, running=True)
    assert (title, lines[1]) == ("measuring …", "measured for 12 s of 30 s, 18 s to go")
    progress.take({"kind": "run", "scenario": "steady", "arguments": asked | {"measureSeconds": 0}})
    assert state(progress, running=True)[2][1] == "measured for 12 s, until it is stopped"


def test_a_long_run_keeps_what_a_short_one_does() -> None:
    """Seconds and marks are rings; the distribution goes on counting."""
    progress = RunProgress()
    for at in range(SECONDS_KEPT + 50):
        progress.take(second(at, 0.01))
        progress.take({"kind": "mark", "at": at, "text": "x"})
    assert len(progress.seconds) == SECONDS_KEPT
    assert len(progress.marks) == MARKS_KEPT
    assert sum(progress.total) == SECONDS_KEPT + 50


def test_rows_of_the_heat_map_are_of_equal_ratio() -> None:
    """0.1 ms is the lowest row, 10 s and all above the highest."""
    assert [row_of(ms) for ms in (0, 0.1, 0.999, 1.001, 10.01, 9999, 1e6)] == [0, 0, 7, 8, 16, ROWS - 1, ROWS - 1]


def test_the_charts_draw_a_run_and_an_empty_one() -> None:
    """Each chart takes a run without seconds, and shows one with."""
    charts = [Percentiles(), HeatMap(), Distribution(), ReachAndSkew(), Cpu()]
    progress = RunProgress()
    for chart in charts:
        chart.draw(progress)
    progress.take(second(100, 0.005, 0.5))
    progress.take(second(102, 0.02))
    progress.mark(101.5, "Redis stopped")
    for chart in charts:
        chart.draw(progress)
    percentiles, heat, distribution, reach, cpu = charts
    assert list(percentiles._p50.x) == [-2, 0]
    assert abs(percentiles._p50.y[1] - 20) < 0.4
    assert percentiles._rules._words.text[0] == "Redis stopped"
    assert percentiles._rules._words.x[0] == -0.5
    assert np.count_nonzero(heat._cells.color) == 3
    assert np.count_nonzero(heat._cells.color[:, -1]) == 1
    assert abs(distribution._steps.y.sum() - 2 * 100) < 1e-9  # both ends of each step
    assert list(reach._reach.y) == [90, 90]
    assert np.allclose(cpu._service.y, 30)
    assert np.allclose(cpu._generator.y, 30)


def test_a_fault_is_detected_and_over() -> None:
    """Times run from its beginning, and from the end of its cause to the first of a second of healthy observations."""
    faults = Faults()
    fault = faults.begin("Redis stopped", 10.0, kind=FaultKind.REDIS_STOPPED)
    faults.observe(10.1, None)
    faults.observe(10.4, "degraded")
    faults.observe(12.0, None)
    faults.observe(13.5, None)
    assert faults.open  # it was well for long enough, but the cause is still there
    fault.mended_at = 14.0
    faults.observe(14.2, "degraded")
    for at in (14.5, 15.0, 15.4):
        faults.observe(at, None)
    assert faults.open
    faults.observe(15.5, None)
    assert not faults.open
    assert str(fault) == "Redis stopped, detected after 0.40 s (degraded), recovered after 0.50 s"


def test_a_fault_that_nobody_notices_says_so() -> None:
    """Well from its beginning on, it is over after a second."""
    faults = Faults()
    fault = faults.begin("a worker killed", 10.0)
    faults.observe(10.1, None)
    faults.observe(11.2, None)
    assert not faults.open
    assert str(fault) == "a worker killed, nothing was noticed of it"


def test_a_growing_file_is_read_line_by_line(tmp_path: Path) -> None:
    """No file has no lines, a half line waits for its end, and no line comes twice."""
    tail = JsonlTail(tmp_path / "run.jsonl")
    assert tail.lines() == []
    with tail.path.open("w") as file:
        file.write('{"a":1}\n{"b"')
        file.flush()
        assert tail.lines() == [{"a": 1}]
        file.write(":2}\n")
        file.flush()
        assert tail.lines() == [{"b": 2}]
    assert tail.lines() == []


def test_the_card_shows_the_last_faults_of_many() -> None:
    """Every fault of a run is kept, as each is judged by its seconds; the card has room for eight."""
    faults = Faults()
    for number in range(20):
        faults.begin(f"fault {number}", float(number))
    shown = VerdictCard()
    shown.draw(RunProgress(), faults.all, running=True)
    assert len(faults.all) == 20
    assert shown._faults.value.count("<div>") == FAULTS_SHOWN
    assert "fault 19" in shown._faults.value
