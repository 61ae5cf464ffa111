"""Finished runs of the load test, read from their files: tables, comparisons, a picture to save.

>>> results = Results.load("runs")          # files, folders, or what `desk.run` returned
>>> results.summary()
>>> results.compare("memory", "redis")      # by parts of their names
>>> results.picture()
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from matplotlib.axes import Axes

from cockpit.results.table import Table
from cockpit.ui.matplotlib_parts import Picture, on_paper, plain
from cockpit.ui.plurals import listed
from cockpit.ui.theme import BLUE, GREEN, ORANGE, PURPLE, VERMILLION
from loadtest.judge.comparison import MetricComparison, compare, doubts
from loadtest.measure.histogram import Histogram
from loadtest.measure.metrics import HEADLINES
from loadtest.report.run_file import read, runs_in

SIZE = (12.5, 3.8)  # inches
COLORS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, "#56b4e9")
NINES = {"50 %": 50.0, "90 %": 90.0, "99 %": 99.0, "99.9 %": 99.9}
_STAMP = re.compile(r"^\d{8}-\d{6}(-\d+)?-")  # at the start of a file's name; the rest names the kind of run

HEAD = ("run", "verdict", "players", *(metric.headline for metric in HEADLINES))


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """One run: the first line of its file, and the last one, None for an unfinished run."""

    name: str
    facts: Mapping[str, Any]
    result: Mapping[str, Any] | None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file of a run. Raises ValueError for another kind of file."""
        try:
            lines = read(path)
            facts, last = lines[0], lines[-1]
            kinds = (facts["kind"], last["kind"])
        except (ValueError, KeyError, IndexError, TypeError):
            kinds = ("", "")
        if kinds[0] != "run":
            raise ValueError(f"{path}: expected the file of a run, got another kind of file")
        return cls(_STAMP.sub("", path.name.removesuffix(".jsonl")), facts, last if kinds[1] == "result" else None)

    @property
    def verdict(self) -> str:
        """PASS, FAIL, INVALID or UNFINISHED."""
        return "UNFINISHED" if self.result is None else str(self.result["verdict"])

    @property
    def judged(self) -> bool:
        """Whether its figures say something about the service."""
        return self.verdict in {"PASS", "FAIL"}

    @property
    def metrics(self) -> Mapping[str, float | None]:
        """What it measured, by the names of docs/run-file.md; times in seconds."""
        return {} if self.result is None else self.result["metrics"]

    @property
    def at_least(self) -> Mapping[str, float]:
        """The lower bounds of the metrics with a band."""
        return {} if self.result is None else self.result.get("atLeast", {})

    @property
    def latency(self) -> Histogram:
        """The latencies of all its pairs."""
        return Histogram() if self.result is None else Histogram.from_dict(self.result["totals"]["latency"])


class Results:
    """Runs, grouped by name: runs of one name are of the same kind."""

    def __init__(self, runs: Sequence[FinishedRun]) -> None:
        self.runs = tuple(runs)

    @classmethod
    def load(cls, *files: str | Path) -> Self:
        """Read the runs in the files and folders. Raises ValueError, also if there is none."""
        paths = [path for file in map(Path, files) for path in runs_in(file)]
        if not paths:
            raise ValueError(f"expected at least one run in {listed([str(file) for file in files]) or 'nothing'}")
        return cls([FinishedRun.read(path) for path in paths])

    @property
    def names(self) -> list[str]:
        """The names, in the order of loading."""
        return list(dict.fromkeys(run.name for run in self.runs))

    def summary(self) -> Table:
        """Return a table with a row for each run."""
        notes = [
            f"{run.name}: {run.verdict}, {run.result['reasons'][0]}"
            for run in self.runs
            if run.result is not None and run.result["reasons"]
        ]
        return Table(HEAD, [_line(run) for run in self.runs], list(dict.fromkeys(notes)))

    def compare(self, a: str | None = None, b: str | None = None) -> Table:
        """Return B to A for each metric, with 95 % intervals over runs; `a` and `b` are parts of names.

        By default they are the first two names. INVALID runs are left out. Raises ValueError for a part that
        fits no name, or several.
        """
        first, second = (self._only(part, place) for place, part in enumerate((a, b)))
        lots = [[run for run in self.runs if run.name == name] for name in (first, second)]
        judged = [[run for run in lot if run.judged] for lot in lots]
        out = [f"left out: {run.name}, {run.verdict}" for lot in lots for run in lot if not run.judged]
        head = ("metric", f"A: {first}", f"B: {second}", "B to A", "95 %", "B is")
        if not all(judged):
            missing = listed([name for name, lot in zip((first, second), judged, strict=True) if not lot])
            return Table(head, [], [*out, f"nothing to compare: no judged run of {missing}"])
        results = [[run.result for run in lot if run.result is not None] for lot in judged]
        rows = compare(*results)
        heads = [[run.facts for run in lot] for lot in judged]
        return Table(head, [_compared(row) for row in rows], [*out, *doubts(*heads)])

    def picture(self) -> Picture:
        """Return a picture of latency by percentile for each name, and the p99 of each run."""
        return on_paper(SIZE, (1.4, 1), lambda places: self._draw(*places))

    def __repr__(self) -> str:
        return repr(self.summary())

    def _only(self, part: str | None, place: int) -> str:
        names = self.names
        if part is None:
            if len(names) < 2:
                raise ValueError(f"expected runs of two names to compare, got {listed(names)}")
            return names[place]
        fit = [name for name in names if part in name]
        if len(fit) != 1:
            raise ValueError(f"expected a part of one name out of {', '.join(names)}; {part!r} fits {len(fit)}")
        return fit[0]

    def _draw(self, curves: Axes, dots: Axes) -> None:
        names = self.names
        places = -np.log10(1 - np.array([*NINES.values()]) / 100)
        percents = 100 * (1 - 10.0 ** -np.linspace(0, 3, 80))
        for name, color in zip(names, COLORS * len(names), strict=False):
            runs = [run for run in self.runs if run.name == name]
            total = Histogram.merged(run.latency for run in runs)
            if total.count:
                values = [total.percentile(percent) * 1000 for percent in percents]
                curves.plot(-np.log10(1 - percents / 100), values, color=color, linewidth=2, label=name)
            p99 = [value * 1000 for run in runs if (value := run.metrics.get("latency_p99")) is not None]
            dots.plot(p99, [names.index(name)] * len(p99), "o", color=color, markersize=8, alpha=0.75)
        curves.set_yscale("log")
        curves.yaxis.set_major_formatter("{x:g}")
        curves.set_xticks(places, NINES)
        curves.set_title("Score → other screens, milliseconds, by percentile")
        curves.legend(frameon=False, labelcolor="#8a8f98", fontsize=9)
        dots.set_yticks(range(len(names)), names)
        dots.set_ylim(len(names) - 0.5, -0.5)
        dots.set_xlim(left=0)
        dots.set_title("p99 of each run, milliseconds")
        for axes in (curves, dots):
            plain(axes, "both")


def _line(run: FinishedRun) -> list[str]:
    figures = (metric.text(run.metrics.get(metric.name), run.at_least.get(metric.name)) for metric in HEADLINES)
    return [run.name, run.verdict, str(run.facts["arguments"]["players"]), *figures]


def _compared(row: MetricComparison) -> list[str]:
    interval = "–" if row.interval is None else f"{row.interval[0]:.2f}–{row.interval[1]:.2f}"
    metric, (a, b) = row.metric, row.least or (None, None)
    return [
        metric.name, metric.text(row.a, a), metric.text(row.b, b), f"{row.ratio:.2f}", interval, row.verdict or "–",
    ]  # fmt: skip
