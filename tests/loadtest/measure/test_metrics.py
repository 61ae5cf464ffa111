"""One table of metrics, and everything that shows or judges a run has all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cockpit import Results
from cockpit.runs.progress import RunProgress
from cockpit.runs.verdict_card import state

from loadtest import locust_tab
from loadtest.judge.comparison import compare
from loadtest.judge.gates import Judgement, Verdict, judge, parse_gates
from loadtest.measure.histogram import ERROR
from loadtest.measure.metrics import (
    FAMILIES,
    FIGURES,
    HEADLINES,
    METRICS,
    STATISTICS,
    Metric,
    lower_bounds,
    markdown,
    metrics,
)  # fmt: skip
from loadtest.measure.run_totals import BOUNDED, COURSES, HISTOGRAMS, Second, Tally
from loadtest.report.html import page
from loadtest.report.run_file import RunFile, parse, read, written
from loadtest.report.text import WIDTH, summary

RUN_FILE = Path(__file__).parents[3] / "docs" / "run-file.md"


def tally(late: float = 0.02) -> Tally:
    """Totals in which every metric is measured."""
    made = Tally(players=10, seconds=3.0, boards=10, board_updates=25, boards_received=100, frames=120, bytes=9000)
    for number, name in enumerate(HISTOGRAMS):
        getattr(made, name).record([late * (1 + number)] * 50)
    made.counts.updates, made.counts.pairs_received, made.counts.versions_owed = 20, 200, 200
    made.busy = {"generator 0": [0.25, 0.5]}
    made.shares = {"generator 0": {"cpuSeconds": 1.0}}
    made.service = {"http://a": {"cpuSeconds": 1.5, "seconds": 3.0, "memory": [5e7, 6e7]}}
    return made


FACTS: dict[str, Any] = {
    "kind": "run", "started": "2026-01-01T10:00:00", "scenario": "steady", "target": "http://a", "session": "s",
    "arguments": {"players": 10, "gates": []}, "environment": {},
}  # fmt: skip


@dataclass
class Led:
    """What Locust's tab asks of a coordinator, after a run."""

    measured: dict[str, float | None] = field(default_factory=lambda: metrics(tally(), 10))
    lower: dict[str, float] = field(default_factory=lambda: lower_bounds(tally()))
    so_far: Second = field(default_factory=lambda: Second(0, ""))
    judgement: Judgement | None = field(default_factory=lambda: Judgement(Verdict.PASS, (), ()))


def test_a_row_says_everything() -> None:
    """Each metric has its own name, a label and a meaning; a time is named by its family and statistic."""
    for name, metric in METRICS.items():
        assert name == metric.name
        assert metric.label
        assert metric.meaning
        assert metric.better or not metric.compared
        if metric.family:
            assert (metric.name, metric.unit) == (f"{metric.family}_{metric.statistic}", "s")
            assert metric.statistic in STATISTICS
    assert len({metric.headline for metric in HEADLINES}) == len(HEADLINES)


def test_old_names_stay() -> None:
    """Gates and files of earlier versions name metrics that are still there."""
    times = [f"{family}_{statistic}" for family in ("latency", "age", "ack", "connect", "join", "skew", "inside")
             for statistic in STATISTICS]  # fmt: skip
    others = (
        "lag_p50 lag_p90 lag_p99 lag_p99.9 reach gaps reordered pairs lost unresolved updates unanswered refused "
        "updates_per_second boards_per_second updates_per_board errors closes converged players players_asked cpu_max "
        "generator_us_per_board service_cpu service_us_per_board service_memory_max service_memory_growth"
    )
    assert {*times, *others.split()} <= METRICS.keys()


@pytest.mark.parametrize("family", BOUNDED)
def test_a_band_is_rounded_outwards(family: str) -> None:
    """Upper and lower bound come from histograms of their own, each to the far edge of its bucket."""
    made = Tally()
    getattr(made, family).record([0.0101, 0.05])
    getattr(made, f"{family}_lower").record([0.0001, 0.0099])
    upper, lower = metrics(made, 1)[f"{family}_p50"], lower_bounds(made)[f"{family}_p99"]
    assert upper is not None
    assert 0.0101 < upper < 0.0101 * (1 + 2 * ERROR)
    assert 0.0099 * (1 - 2 * ERROR) < lower < 0.0099
    assert METRICS[f"{family}_p99"].band


def test_what_never_came_is_unbounded() -> None:
    """A pair in a hundred without a board leaves p90 as it is; the maximum, and what is written of it, has no end."""
    made = Tally()
    made.latency.record([0.02] * 98 + [math.inf] * 2)
    made.latency_lower.record([0.02] * 98 + [0.0, math.inf])
    named, least = metrics(made, 1), lower_bounds(made)
    assert named["latency_p90"] == 0.02
    assert (named["latency_p99"], named["latency_mean"], least["latency_max"]) == (math.inf, math.inf, math.inf)
    assert least["latency_p99"] == pytest.approx(0.02, rel=2 * ERROR)
    assert METRICS["latency_p99"].text(math.inf, 0.02) == "unbounded, at least 20.0"


def test_infinity_comes_back_from_a_file(tmp_path: Path) -> None:
    """JSON has none; an older file has no lower bounds, and its figures stand alone."""
    never = tally()
    never.latency.record([math.inf] * 50)
    named = metrics(never, 10)
    with RunFile(tmp_path / "a.jsonl") as file:
        file.begin({name: value for name, value in FACTS.items() if name != "kind"})
        file.end(never, named, judge(named, [], wrong=[]))
    last = read(tmp_path / "a.jsonl")[-1]
    assert last["metrics"]["latency_p99"] == math.inf
    assert last["atLeast"] == lower_bounds(never)
    assert "∞" in page(read(tmp_path / "a.jsonl"))
    del last["atLeast"]
    for name in BOUNDED:
        del last["totals"][f"{name}_lower"]
    old = [FACTS, parse(written(last))]
    assert "at least" not in page(old)
    assert lower_bounds(Tally.from_dict(last["totals"])) == {}


def test_nothing_measured_is_none_or_a_count_of_zero() -> None:
    """Empty totals have every name, and no figure that looks measured."""
    empty = metrics(Tally(), 0)
    assert empty.keys() == METRICS.keys()
    assert {name for name, value in empty.items() if value} == {"converged"}


def test_values_are_computed_from_the_totals() -> None:
    """Each of the ratios is what its row says, in base units."""
    named = metrics(tally(), 12)
    expected = {
        "latency_max": 0.02, "age_mean": 0.04, "lag_p99": 0.02 * len(HISTOGRAMS), "reach": 1.0,
        "updates_per_second": 20 / 3,
        "updates_per_board": 2.5, "boards_per_second": 10 / 3, "players": 10, "players_asked": 12, "cpu_max": 0.5,
        "generator_us_per_board": 10_000, "service_cpu": 0.5, "service_us_per_board": 15_000,
        "service_memory_max": 6e7, "service_memory_growth": 1.2, "converged": 1,
    }  # fmt: skip
    assert {name: named[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("latency_p99", 0.0618, "61.8 ms"), ("inside_p50", 0.000853, "0.85 ms"), ("reach", 0.99999, "99.999 %"),
        ("reach", 0.99999999, "99.9999 %"), ("reach", 1.0, "100 %"), ("pairs", 4066000, "4,066,000"),
        ("service_memory_max", 5.2e7, "52 MB"), ("service_cpu", 0.42, "42%"), ("converged", 0.0, "no"),
        ("lost", None, "–"),
    ],
)  # fmt: skip
def test_a_value_is_written_with_its_unit(name: str, value: float | None, text: str) -> None:
    """Times in ms, shares rounded down, counts whole, and a dash for what was not measured."""
    assert METRICS[name].text(value) == text


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_every_metric_can_be_a_gate(metric: Metric) -> None:
    """A gate on it is known, and when it is missed the reason has the unit of the row."""
    (gate,) = parse_gates([f"{metric.name}<-1"])
    reasons = judge(metrics(tally(), 10), [gate], wrong=[]).reasons
    (missed,) = (reason for reason in reasons if reason.startswith(gate.text))
    assert missed.endswith(" ms") == (metric.unit == "s")


def test_the_text_report_has_every_metric() -> None:
    """Statistics stand in the table of times, under their column; all others by their label, with their value."""
    named = metrics(tally(), 10)
    text = summary(FACTS, tally(), named, judge(named, [], wrong=[]))
    head = next(line for line in text.splitlines() if line.startswith(" milliseconds"))
    assert head.split()[1:] == list(STATISTICS)
    for label in FAMILIES.values():
        assert any(line.startswith(f" {label} ") for line in text.splitlines())
    for metric in FIGURES:
        assert f"{metric.label:<24}{metric.text(named[metric.name]):>12}" in text
    assert max(len(line) for line in text.splitlines() if not line.startswith(" converged")) <= WIDTH


def write(folder: Path, name: str, late: float) -> Path:
    """A run on file."""
    path = folder / f"{name}.jsonl"
    named = metrics(tally(late), 10)
    with RunFile(path) as file:
        file.begin({name: value for name, value in FACTS.items() if name != "kind"})
        file.end(tally(late), named, judge(named, [], wrong=[]))
    return path


def test_the_page_has_every_metric(tmp_path: Path) -> None:
    """As in the text: a row for each family with a cell for each statistic, a row for each other metric."""
    html = page(read(write(tmp_path, "a", 0.02)))
    for statistic in STATISTICS:
        assert f"<th>{statistic}</th>" in html
    for label in FAMILIES.values():
        row = html.partition(f"<td>{label}</td>")[2].partition("</tr>")[0]
        assert row.count("<td>") == len(STATISTICS)
    named = metrics(tally(), 10)
    for metric in FIGURES:
        cells = html.partition(f"<td>{metric.label} <small>")[2].partition("</tr>")[0]
        assert metric.text(named[metric.name]) in cells


def test_locusts_tab_has_every_metric() -> None:
    """After the run each family is a row and each other metric a row; the columns are the statistics."""
    rows = locust_tab.rows(Led())  # type: ignore[arg-type]
    names = {row["what"] for row in rows}
    assert set(FAMILIES.values()) <= names
    named = metrics(tally(), 10)
    assert {f"{metric.label}: {metric.text(named[metric.name])}" for metric in FIGURES} <= names
    age = next(row for row in rows if row["what"] == FAMILIES["age"])
    columns = {column["key"] for column in locust_tab._structure()}
    assert columns == {"what", "count", *age}
    assert len(age) == 1 + len(STATISTICS)
    assert set(COURSES) <= FAMILIES.keys()


def test_a_comparison_has_every_metric_that_is_compared(tmp_path: Path) -> None:
    """Those whose row says so, in its direction, in the command as in the notebook."""
    lots = [[{"metrics": metrics(tally(late), 10)}] * 5 for late in (0.02, 0.04)]
    found = {row.metric.name: row for row in compare(*lots)}
    assert found.keys() == {name for name, metric in METRICS.items() if metric.compared}
    assert found["latency_p99"].verdict == "worse"
    assert {name for name, row in found.items() if not row.counts} == {"generator_us_per_board"}
    table = Results.load(write(tmp_path, "x", 0.02), write(tmp_path, "y", 0.04)).summary()
    assert list(table.head[3:]) == [metric.headline for metric in HEADLINES]


def test_more_of_what_should_be_high_is_better(monkeypatch: pytest.MonkeyPatch) -> None:
    """The direction comes from the row: with `higher`, the greater figure is the better one."""
    reach = METRICS["reach"]
    monkeypatch.setitem(METRICS, "reach", Metric(**{name: getattr(reach, name) for name in Metric.__slots__}
                                                 | {"compared": True}))  # fmt: skip
    lots = [[{"metrics": {"reach": value}}] * 5 for value in (0.5, 0.9)]
    assert [row.verdict for row in compare(*lots)] == ["better"]
    assert [row.verdict for row in compare(*reversed(lots))] == ["worse"]


def test_the_verdict_card_has_every_headline() -> None:
    """Each headline metric with its figure, by its short name."""
    named = metrics(tally(), 10)
    course = RunProgress()
    least = {"latency_p99": 0.01}
    course.take({"kind": "result", "verdict": "PASS", "reasons": [], "metrics": named, "atLeast": least})
    line = state(course, running=False)[2][-1]
    expected = [f"{one.headline} {one.text(named[one.name], least.get(one.name))}" for one in HEADLINES]
    assert line.split("; ") == expected
    assert "p99 20.0 ms, at least 10.0" in expected


def test_the_documented_table_is_this_one() -> None:
    """docs/run-file.md has the table as `markdown` writes it: to change it, put that text there."""
    assert markdown() in RUN_FILE.read_text("utf-8"), f"docs/run-file.md should have:\n{markdown()}"
