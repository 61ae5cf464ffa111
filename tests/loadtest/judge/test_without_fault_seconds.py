"""A run with faults, judged without their seconds: on a run whose figures are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cockpit.runs.progress import RunProgress
from cockpit.runs.verdict_card import state

from loadtest.judge.gates import Verdict, judge, parse_gates
from loadtest.judge.without_fault_seconds import judge_outside_faults
from loadtest.measure.histogram import ERROR
from loadtest.measure.metrics import METRICS, metrics
from loadtest.measure.run_totals import Second, Tally
from loadtest.report.html import page
from loadtest.report.text import outside_faults

GATES = ["latency_p99<250ms", "reach>=0.9999", "lost==0", "errors==0"]
LATE = {10: 2.0, 11: 1.5, 12: 0.4}  # seconds of the run in which the fault shows: latency of their pairs


def mark(at: float, text: str = "service frozen for 1 s", **more: float | None) -> dict[str, Any]:
    return {"kind": "mark", "at": 1000 + at, "text": text, **more}


def until(at: float) -> dict[str, float]:
    return {"until": 1000 + at}


def run(*marks: dict[str, Any], lost: int = 0, length: int = 20, asked: float = 20.0) -> list[dict[str, Any]]:
    """Three seconds of warm-up and `length` measured ones with 100 pairs of 20 ms each; second 1000 is the first."""
    tally, seconds = Tally(players=5, seconds=float(length)), []
    for number in range(1, length + 4):
        second = Second(1000 + number, "warm-up" if number <= 3 else "measure", players=5, sent=20, owed=100)
        second.cpu, second.service = {"generator 0": 0.1}, {"http://a": {"cpu": 0.2, "memory": 5e7 + number}}
        second.lag.record([0.001] * 10)
        if second.phase == "measure":
            second.latency.record([LATE.get(number, 0.02)] * 100)
            second.missed = 5 if number in LATE else 0
            second.errors = 1 if number in LATE else 0
        tally.latency.merge(second.latency)
        tally.counts.versions_missed += second.missed
        tally.counts.versions_owed += second.owed
        tally.errors["internal"] += second.errors
        seconds.append({"kind": "second", **second.to_dict()})
    tally.counts.pairs_lost, tally.counts.updates, tally.counts.pairs_received = lost, 20 * length, 100 * length
    tally.busy = {"generator 0": [0.1] * length}
    named = metrics(tally, 5)
    judgement = judge(named, parse_gates(GATES), wrong=[])
    facts = {
        "kind": "run", "started": "2026-01-01", "scenario": "steady", "target": "http://a", "session": "s",
        "arguments": {"players": 5, "measureSeconds": asked, "gates": GATES}, "environment": {},
    }  # fmt: skip
    result = {"kind": "result", **judgement.to_dict(), "metrics": named, "totals": tally.to_dict()}
    lines: list[dict[str, Any]] = json.loads(json.dumps([facts, *seconds, *marks, result]))
    return lines


def test_a_run_that_only_a_fault_has_spoiled_passes_outside_of_it() -> None:
    """Over all it is FAIL; without the seconds from the fault to one second after its end it is PASS, and says so."""
    lines = run(mark(9.4, **until(11.2)))
    assert lines[-1]["verdict"] == "FAIL"
    outside = judge_outside_faults(lines)
    assert outside is not None
    assert outside.judgement.verdict is Verdict.PASS
    assert [held for _, held in outside.judgement.gates] == [True] * 4
    # Seconds 10 to 13 touch 9.4–12.2.
    assert (outside.seconds, outside.measured, outside.left_out) == (4, 20, ((1009.4, 1012.2),))
    assert outside.lines[0] == "outside the faults: PASS"
    assert outside.lines[-1] == (
        "left out: 4 of 20 measured seconds, those in 9.4–12.2 s of the run; judged over all of the run: lost"
    )


def test_figures_are_those_of_the_remaining_seconds() -> None:
    """What the row of the table says can be had per second comes from the seconds kept, all else from the whole run."""
    lines = run(mark(9.4, **until(11.2)))
    outside = judge_outside_faults(lines)
    assert outside is not None
    expected = {
        "latency_p99": 0.02, "latency_max": 0.02, "pairs": 1600, "updates": 320, "updates_per_second": 20.0,
        "reach": 1.0, "errors": 0, "cpu_max": 0.1, "service_cpu": 0.2, "service_memory_max": 5e7 + 23, "lag_p99": 0.001,
    }  # fmt: skip
    assert {name: outside.metrics[name] for name in expected} == pytest.approx(expected, rel=2 * ERROR)
    assert outside.metrics.keys() == METRICS.keys()
    for name, metric in METRICS.items():
        assert metric.per_second or outside.metrics[name] == lines[-1]["metrics"][name]


def test_a_service_that_is_late_without_a_fault_fails_both_times() -> None:
    """A fault elsewhere excuses nothing: the late seconds are still there."""
    outside = judge_outside_faults(run(mark(18.0, **until(18.5))))
    assert outside is not None
    assert outside.judgement.verdict is Verdict.FAIL
    assert any(reason.startswith("latency_p99<250ms: it was") for reason in outside.judgement.reasons)


def test_a_loss_is_not_excused() -> None:
    """What cannot be placed in time is judged over all of the run."""
    outside = judge_outside_faults(run(mark(9.4, **until(11.2)), lost=1))
    assert outside is not None
    assert outside.judgement.reasons == ("lost==0: it was 1",)


def test_a_fault_that_did_not_end_lasts_to_the_end_of_the_run() -> None:
    """Several spans are merged; where too few seconds remain, no judgement is possible."""
    outside = judge_outside_faults(run(mark(9.4, **until(11.2)), mark(11.5, **until(12.5)), mark(20.0, until=None)))
    assert outside is not None
    assert outside.left_out == ((1009.4, 1013.5), (1020.0, 1023.0))
    assert (outside.seconds, outside.judgement.verdict) == (8, Verdict.PASS)
    short = judge_outside_faults(run(mark(5.2, until=None)))
    assert short is not None
    assert short.judgement.verdict is Verdict.INVALID
    assert short.judgement.reasons[0] == "2 measured seconds lie outside the faults, at least 3 are needed"


def test_a_run_cut_short_stays_invalid() -> None:
    """Leaving seconds out makes no whole run of a part."""
    outside = judge_outside_faults(run(mark(9.4, **until(11.2)), asked=60.0))
    assert outside is not None
    assert outside.judgement.verdict is Verdict.INVALID
    assert outside.judgement.reasons == ("interrupted after 20.0 of 60 s",)


def test_a_run_without_faults_has_one_verdict() -> None:
    """Marks of a scenario or of an older version are no faults; an unfinished run has no verdict at all."""
    assert judge_outside_faults(run()) is None
    assert judge_outside_faults(run(mark(9.4, "all connections break"))) is None
    assert judge_outside_faults(run(mark(9.4, **until(11.2)))[:-1]) is None
    assert "Outside the faults" not in page(run())


def test_both_verdicts_are_shown(refuse, tmp_path: Path) -> None:
    """The page, the text and the desk's card have the verdict of all of the run, and that outside the faults."""
    lines = run(mark(9.4, **until(11.2)))
    html = page(lines)
    assert ">FAIL</b>" in html
    assert "Outside the faults: <span class='verdict PASS'>PASS</span>" in html
    outside = judge_outside_faults(lines)
    assert outside is not None
    course = RunProgress()
    for line in lines:
        course.take(line)
    course.outside = outside
    _, title, shown = state(course, running=False)
    assert title.startswith("FAIL")
    file = tmp_path / "run.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    told = refuse("report", str(file)).out
    assert outside_faults(outside) in told
    for text in outside.lines:
        assert text in shown
        assert text in told
    for text in outside.lines[1:]:
        assert text in html
