"""Live charts of a swarm's `RunProgress`: percentiles, heat map, histogram, reach and skew, CPU.

As in `live.charts`, each owns a bqplot figure and has one method, `draw(progress)`, and writes traits
inside `hold_sync`. New data comes once a second.
"""

from __future__ import annotations

import math
from typing import Protocol

import bqplot as bq
import numpy as np

from cockpit.runs.progress import LOWEST_MS, MARKS_KEPT, ROWS, ROWS_PER_DECADE, RunProgress
from cockpit.ui.bqplot_parts import above, axes, figure, grow, last_minute, line, ticks, with_gaps
from cockpit.ui.theme import BLUE, GREEN, GREY, ORANGE, PURPLE, TYPICAL, WORST

WINDOW = 60
OUT_OF_SIGHT = -120.0
NOTHING = "rgba(158, 202, 225, 0)"
WORDS = 24  # characters of a label that fit on a chart
DECADES = {-1: "0.1", 0: "1", 1: "10", 2: "100", 3: "1 s", 4: "10 s"}
MIDDLES = math.log10(LOWEST_MS) + (np.arange(ROWS) + 0.5) / ROWS_PER_DECADE
ENDS = np.repeat(math.log10(LOWEST_MS) + np.arange(ROWS + 1) / ROWS_PER_DECADE, 2)[1:-1]  # of each row, in turn


class RunChart(Protocol):
    """A chart of the desk."""

    widget: bq.Figure

    def draw(self, progress: RunProgress) -> None:
        """Show `progress`."""


class FaultLines:
    """What was done to the service, on a chart over time: vertical lines with labels."""

    def __init__(self, time: bq.Scale) -> None:
        scales = {"x": time, "y": bq.LinearScale(min=0.0, max=1.0)}
        away = np.full((MARKS_KEPT, 2), OUT_OF_SIGHT)
        self._shown: tuple[float, ...] = ()
        self._lines = bq.Lines(
            x=away, y=np.tile([0.0, 1.0], (MARKS_KEPT, 1)), scales=scales, colors=[GREY], line_style="dashed",
            stroke_width=1.2,
        )  # fmt: skip
        self._words = bq.Label(
            x=away[:, 0], y=np.zeros(MARKS_KEPT), text=[""] * MARKS_KEPT, scales=scales, colors=[GREY],
            default_size=11, font_weight="normal", align="end", x_offset=-4, apply_clip=False,
        )  # fmt: skip
        self.marks = [self._lines, self._words]

    def draw(self, progress: RunProgress) -> None:
        """Show the marks of `progress`; nothing is sent while they do not move."""
        known = [
            (at - progress.now, text) for at, text in progress.marks if progress.now - WINDOW <= at <= progress.now + 5
        ]
        places = tuple(min(x, 0.0) for x, _ in known)
        if places == self._shown:
            return
        self._shown = places
        free = MARKS_KEPT - len(known)
        x = np.array([*places, *[OUT_OF_SIGHT] * free])
        with self._lines.hold_sync():
            self._lines.x = np.column_stack([x, x])
        with self._words.hold_sync():
            self._words.text = [text[:WORDS] for _, text in known] + [""] * free
            self._words.x, self._words.y = x, 0.97 - 0.065 * (np.arange(MARKS_KEPT) % 6)


class Percentiles:
    """Latency of all pairs: p50 and p99 of each second."""

    def __init__(self) -> None:
        self._height = bq.LinearScale(min=0.0, max=10.0)
        scales = {"x": last_minute(), "y": self._height}
        self._p50, self._p99 = line(scales, TYPICAL, "p50"), line(scales, WORST, "p99")
        self._rules = FaultLines(scales["x"])
        self._sides = axes(scales)
        marks = [self._p99, self._p50, *self._rules.marks]
        self.widget = _with_legend(figure(marks, self._sides, "Score → other screens, milliseconds"))

    def draw(self, progress: RunProgress) -> None:
        """Show the last minute of `progress`."""
        seconds = progress.window()
        grow(self._height, self._sides[1], max((s.p99 for s in seconds if s.p99 is not None), default=0.0))
        _move(self._p50, progress, [s.p50 for s in seconds])
        _move(self._p99, progress, [s.p99 for s in seconds])
        self._rules.draw(progress)


class HeatMap:
    """The latencies of the pairs of each second: time across, latency up, on a log axis."""

    def __init__(self) -> None:
        # Empty cells get a transparent colour: bqplot would draw NaN in its neighbour's colour.
        color = bq.ColorScale(colors=[NOTHING, "#9ecae1", BLUE, PURPLE, ORANGE], min=0.0, max=1.0)
        scales = {"x": last_minute(), "y": bq.LinearScale(min=-1.0, max=4.0), "color": color}
        self._cells = bq.HeatMap(
            x=np.arange(-WINDOW, 0) + 0.5, y=MIDDLES, color=np.zeros((ROWS, WINDOW)), scales=scales
        )
        self._rules = FaultLines(scales["x"])
        across = axes({"x": scales["x"], "y": scales["y"]})[0]
        up = bq.Axis(
            scale=scales["y"], side="left", tick_values=list(DECADES), tick_labels=_labels(), grid_lines="solid"
        )
        self.widget = figure([self._cells, *self._rules.marks], [across, up], "Latency heat map, milliseconds")

    def draw(self, progress: RunProgress) -> None:
        """Show the last minute of `progress`: blue is few pairs, orange many, on a log scale."""
        counts = np.zeros((ROWS, WINDOW))
        for second in progress.window():
            counts[:, WINDOW - 1 - int(progress.now - second.at)] = second.heat
        strength = np.log1p(counts) / max(float(np.log1p(counts.max())), 1.0)
        with self._cells.hold_sync():
            self._cells.color = np.where(counts > 0, 0.25 + 0.75 * strength, 0.0)
        self._rules.draw(progress)


class Distribution:
    """All pairs of the run by latency, on a log axis."""

    def __init__(self) -> None:
        self._height = bq.LinearScale(min=0.0, max=10.0)
        scales = {"x": bq.LinearScale(min=-1.0, max=4.0), "y": self._height}
        # Steps with the area below them: bqplot's own bars leave an element behind in the page with each draw.
        self._steps = bq.Lines(
            x=ENDS, y=np.zeros(2 * ROWS), scales=scales, colors=[BLUE], stroke_width=1.0, fill="bottom",
            fill_opacities=[0.85], fill_colors=[BLUE],
        )  # fmt: skip
        self._up = axes({"x": scales["x"], "y": self._height})[1]
        across = bq.Axis(
            scale=scales["x"], tick_values=list(DECADES), tick_labels=_labels(), grid_lines="none",
            label="milliseconds", label_offset="30px",
        )  # fmt: skip
        self.widget = figure([self._steps], [across, self._up], "Pairs by latency, percent")

    def draw(self, progress: RunProgress) -> None:
        """Show all of `progress`."""
        counts = np.array(progress.total, float)
        shares = 100 * counts / max(counts.sum(), 1.0)
        high = above(float(shares.max()) * 1.1)
        if self._height.max != high:
            self._height.max, self._up.tick_values = high, ticks(high)
        self._steps.y = np.repeat(shares, 2)


class ReachAndSkew:
    """The share of versions that receivers saw, and the time from a board's first receiver to its last."""

    def __init__(self) -> None:
        self._height = bq.LinearScale(min=0.0, max=10.0)
        time = last_minute()
        left, right = {"x": time, "y": self._height}, {"x": time, "y": bq.LinearScale(min=0.0, max=105.0)}
        self._skew, self._reach = line(left, PURPLE, "skew p99, ms"), line(right, GREEN, "reach, %")
        self._sides = axes(left)
        far = bq.Axis(scale=right["y"], side="right", tick_values=[0, 50, 100],
                      grid_lines="none", tick_format="d")  # fmt: skip
        self._rules = FaultLines(time)
        marks = [self._skew, self._reach, *self._rules.marks]
        self.widget = _with_legend(figure(marks, [*self._sides, far], "Reach and skew"), place="bottom-left")
        self.widget.fig_margin = {**self.widget.fig_margin, "right": 34}

    def draw(self, progress: RunProgress) -> None:
        """Show the last minute of `progress`."""
        seconds = progress.window()
        grow(self._height, self._sides[1], 2 * max((s.skew for s in seconds if s.skew is not None), default=0.0))
        _move(self._skew, progress, [s.skew for s in seconds])
        _move(self._reach, progress, [None if s.reach is None else 100 * s.reach for s in seconds])
        self._rules.draw(progress)


class Cpu:
    """Shares of a core: the service against the busiest generator process."""

    def __init__(self) -> None:
        self._height = bq.LinearScale(min=0.0, max=100.0)
        scales = {"x": last_minute(), "y": self._height}
        self._service, self._generator = line(scales, WORST, "service"), line(scales, GREEN, "generator")
        self._limit = bq.Lines(
            x=[-float(WINDOW), 0.0], y=[80.0, 80.0], scales=scales, colors=[GREY], line_style="dotted", stroke_width=1.5
        )
        self._sides = axes(scales)
        self._sides[1].tick_values = ticks(100)
        marks = [self._limit, self._service, self._generator]
        self.widget = _with_legend(figure(marks, self._sides, "CPU, percent of a core"))

    def draw(self, progress: RunProgress) -> None:
        """Show the last minute of `progress`; above the dotted line the generator makes its own figures unreliable."""
        seconds = progress.window()
        service, generator = ([_percent(value) for value in values] for values in (
            [s.service for s in seconds], [s.generator for s in seconds]))  # fmt: skip
        grow(self._height, self._sides[1], max([85.0, *(v for v in (*service, *generator) if v is not None)]))
        _move(self._service, progress, service)
        _move(self._generator, progress, generator)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _move(drawn: bq.Lines, progress: RunProgress, values: list[float | None]) -> None:
    """Show on the line a value for each second of the window of `progress`."""
    ago = [int(second.at - progress.now) for second in progress.window()]
    with drawn.hold_sync():
        drawn.x, drawn.y = with_gaps(ago, values) if ago else (np.array([OUT_OF_SIGHT]), np.array([0.0]))


def _labels() -> dict[str, str]:
    return {str(place): label for place, label in DECADES.items()}


def _with_legend(drawn: bq.Figure, place: str = "top-left") -> bq.Figure:
    drawn.legend_location = place
    drawn.legend_style = {"fill": "transparent", "stroke-width": 0}
    return drawn
