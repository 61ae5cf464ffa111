"""The page of a run as text: every figure arrives, whole and apart from the next, on a terminal of 80 columns."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.judge.gates import Judgement, Verdict
from loadtest.measure.metrics import FAMILIES, FIGURES, METRICS, STATISTICS, family_values
from loadtest.measure.run_totals import Tally
from loadtest.report.text import summary

COLUMNS = 80
LARGEST = {
    "s": 14_000.0, "share": 1.0, "cores": 99.0, "bytes": 1e12, "µs": 9e5, "times": 1e3, "/s": 1e6, "count": 1e9,
    "number": 1e6, "yes/no": 1.0,
}  # fmt: skip
FACTS = {"scenario": "steady", "target": "http://127.0.0.1:8000", "session": "load-1"}


def values(unit: str) -> st.SearchStrategy[float | None]:
    """What a metric of this unit may be, from nothing at all to the worst that somebody may see."""
    return st.none() | st.floats(0, LARGEST[unit])


@settings(max_examples=30)
@given(st.fixed_dictionaries({name: values(metric.unit) for name, metric in METRICS.items()}))
def test_every_figure_is_whole(measured: dict[str, float | None]) -> None:
    """Each stands behind its label, between blanks; no line is longer than the terminal, and none has a colour."""
    page = summary(FACTS, Tally(), measured, Judgement(Verdict.PASS, (), ()))
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
