"""What `python -m loadtest compare` prints."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from loadtest.cli.compare import page
from loadtest.judge.comparison import MetricComparison
from loadtest.measure.metrics import METRICS

COLUMNS = 80
FIGURES = st.floats(1e-6, 99)


@given(FIGURES, FIGURES, st.floats(0.001, 40))
def test_every_figure_is_whole(a: float, b: float, ratio: float) -> None:
    """Both sides, the ratio, its interval and the verdict stand apart, on a terminal of 80 columns."""
    rows = [
        MetricComparison(metric, a, b, ratio, (ratio / 2, ratio * 2)) for metric in METRICS.values() if metric.compared
    ]
    lines = page(rows, 5, 5, ["few runs"]).splitlines()
    for row, line in zip(rows, lines[3:], strict=False):
        interval = f"{ratio / 2:.3f}–{ratio * 2:.3f}"
        expected = [row.metric.name, row.metric.text(a), row.metric.text(b), f"{ratio:.3f}", interval, row.verdict]
        assert line.split() == " ".join(expected).split()
    assert "at least" not in "".join(lines)
    banded = page([replace(row, least=(a / 2, b / 2)) for row in rows], 5, 5, []).splitlines()
    assert len(banded) == len(page(rows, 5, 5, []).splitlines()) + len(rows)
    assert max(map(len, banded)) <= COLUMNS
    assert max(map(len, lines)) <= COLUMNS
    assert "\x1b" not in "".join(lines)
