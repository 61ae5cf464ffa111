"""The page of a run as text: every figure arrives, whole and apart from the next, on a terminal of 80 columns."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.judge.gates import Judgement, Verdict
from loadtest.measure.metrics import FAMILIES, FIGURES, METRICS, STATISTICS, family_values
from loadtest.measure.run_totals import Tally
from loadtest.report.text import in_short, summary

COLUMNS = 80
LARGEST = {
    "s": 14_000.0, "share": 1.0, "cores": 99.0, "bytes": 1e12, "µs": 9e5, "times": 1e3, "/s": 1e6, "count": 1e9,
    "number": 1e6, "yes/no": 1.0,
}  # fmt: skip
FACTS = {"scenario": "steady", "target": "http://127.0.0.1:8000", "session": "load-1"}


def values(unit: str) -> st.SearchStrategy[float | None]:
    """What a metric of this unit may be, from nothing at all to the worst that somebody may see."""
    return st.none() | st.floats(0, LARGEST[unit])


@pytest.mark.parametrize(
    ("changed", "verdict", "expected"),
    [
        ({}, "PASS", "With 200 players and 40 scores a second, 99 of 100 times a score was on another player's screen "
         "within 54 ms; every score arrived. That is within what was asked for."),
        ({"lost": 2, "unanswered": 1}, "FAIL", "within 54 ms; 3 did not arrive. That is not what was asked for."),
        ({"latency_p99": math.inf}, "INVALID", "too few scores were seen on the other screens to say how late; every "
         "score arrived. Whether that is within what was asked for, this run cannot say."),
        ({"converged": 0.0}, "FAIL", "within 54 ms; the final scores are wrong. That is not what was asked for."),
    ],
)  # fmt: skip
def test_a_run_in_short_needs_no_terms(changed: dict[str, float], verdict: str, expected: str) -> None:
    """Load, lateness, what is missing, and whether it was good enough."""
    measured = {
        "players": 200, "updates_per_second": 40.2, "latency_p99": 0.0541, "lost": 0, "unanswered": None,
        "converged": 1,
    }  # fmt: skip
    assert in_short({"metrics": measured | changed, "verdict": verdict}).endswith(expected)


@settings(max_examples=30)
@given(st.fixed_dictionaries({name: values(metric.unit) for name, metric in METRICS.items()}))
def test_every_figure_is_whole(measured: dict[str, float | None]) -> None:
    """Each stands behind its label, between blanks; no line is longer than the terminal, and none has a colour."""
    gates = tuple(
        (f"{name}<{LARGEST['s']:.0f}s", held) for name, held in zip(METRICS, (True, False, None), strict=False)
    )
    page = summary(FACTS, Tally(), measured, Judgement(Verdict.PASS, (), gates))
    for metric in FIGURES:
        assert re.search(rf" {re.escape(metric.label)} +{re.escape(metric.text(measured[metric.name]))}(  |\n)", page)
    for family, label in FAMILIES.items():
        (row,) = re.findall(rf"^ {re.escape(label)} +(.*)$", page, re.MULTILINE)
        shown = row.split()
        assert len(shown) == len(STATISTICS)
        for text, value in zip(shown, family_values(family, measured), strict=True):
            assert (text == "–") if value is None else abs(float(text) - value * 1000) <= 0.5
    assert max(map(len, page.splitlines())) <= COLUMNS
    assert page.replace("\n", "").isprintable()
