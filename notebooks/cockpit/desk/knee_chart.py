"""The chart of a search for the knee: players across, p99 latency up, the gate as a line, each run as a point."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import bqplot as bq
import ipywidgets as widgets
import numpy as np

from cockpit.desk.knee_search_state import WORDS, KneeTrials
from cockpit.runs.progress import RunProgress
from cockpit.ui.bqplot_parts import above, figure, ticks
from cockpit.ui.theme import GREEN, GREY, ORANGE, PURPLE, VERMILLION
from loadtest.judge.knee_search import Outcome

# Shape and colour both carry the outcome, for colour-blind readers. An INVALID run is hollow: it proves nothing.
MARKERS = {
    Outcome.HELD: ("circle", GREEN, True),
    Outcome.MISSED: ("cross", VERMILLION, True),
    Outcome.SPOILED: ("diamond", ORANGE, False),
}
FIXED = "font-size:12px;white-space:pre-wrap;word-break:normal"
MOST_TICKS = 9
NOWHERE = np.array([0.0, 0.0]), np.array([-9.0, -9.0])  # below the chart, where it is clipped


class KneeChart:
    """The trials, live, and a summary in words. `widget` is empty until a search has begun."""

    def __init__(self) -> None:
        self._players = bq.LinearScale(min=0.0, max=100.0)
        self._late = bq.LinearScale(min=0.0, max=3.0)  # powers of ten of a millisecond
        scales = {"x": self._players, "y": self._late}
        self._points = {outcome: _points(scales, WORDS[outcome], *marker) for outcome, marker in MARKERS.items()}
        self._now = _points(scales, "playing", "square", GREY, filled=False)
        # From the lower bound of each run to its p99: no more is known.
        x, y = NOWHERE
        self._bands = bq.Lines(x=x, y=y, scales=scales, colors=[GREY], stroke_width=5.0, opacities=[0.45])
        self._gate = _rule(scales, VERMILLION, "dashed")
        self._knee = _rule(scales, PURPLE, "solid")
        self._gate_word, self._knee_word = _word(scales, VERMILLION), _word(scales, PURPLE)
        self._across = bq.Axis(
            scale=self._players, grid_lines="none", tick_values=ticks(100), tick_format="d", label="players",
            label_offset="30px",
        )  # fmt: skip
        self._up = bq.Axis(scale=self._late, side="left", grid_lines="solid", tick_values=[0, 1, 2, 3])
        marks = [
            self._gate,
            self._knee,
            self._bands,
            *self._points.values(),
            self._now,
            self._gate_word,
            self._knee_word,
        ]
        self._figure = figure(marks, [self._across, self._up], "The knee: score → other screens, p99, milliseconds")
        self._figure.legend_location, self._figure.legend_style = "top-left", {"fill": "transparent", "stroke-width": 0}
        self._figure.layout.flex = "1.7 1 0"
        self._words = widgets.HTML(layout={"flex": "1 1 0", "min_width": "0"})
        self.widget = widgets.HBox([], layout={"grid_gap": "12px", "align_items": "center"})

    def draw(self, search: KneeTrials, progress: RunProgress | None) -> None:
        """Show `search`; `progress` is that of the current run."""
        if not self.widget.children:
            self.widget.children = (self._figure, self._words)
        late = None if progress is None or progress.last is None else progress.last.p99
        now = [] if search.playing is None or late is None else [(search.playing, late)]
        self._fit(search, now)
        for outcome, points in self._points.items():
            known = [(one.players, one.p99) for one in search.trials if one.outcome is outcome and one.p99 is not None]
            _move(points, known)
        _move(self._now, now)
        self._draw_bands(search)
        self._draw_rules(search)
        self._words.value = _report(search)

    def _fit(self, search: KneeTrials, now: Sequence[tuple[int, float]]) -> None:
        """Fit the axes to all points, with room for labels at the right."""
        most = max([search.playing or 0, *(trial.players for trial in search.trials)])
        high = above(most * 1.1)
        if self._players.max != high:
            self._players.max, self._across.tick_values = high, ticks(high)
        bounds = [value for one in search.trials for value in (one.least, one.p99) if value]
        values = [search.bound, *bounds, *(value for _, value in now)]
        steps = around(min(values), max(values))
        low, high = math.log10(steps[0]), math.log10(steps[-1])
        if (self._late.min, self._late.max) != (low, high):
            with self._up.hold_sync():
                # bqplot looks a label up by its tick as JavaScript prints it: an integer without a fraction.
                self._up.tick_labels = {str(math.log10(step)).removesuffix(".0"): f"{step:g}" for step in steps}
                self._up.tick_values = [math.log10(step) for step in steps]
            with self._late.hold_sync():
                self._late.min, self._late.max = low, high

    def _draw_bands(self, search: KneeTrials) -> None:
        known = [(one.players, one.least, one.p99) for one in search.trials if one.least and one.p99]
        x, y = NOWHERE
        if known:
            x = np.array([[players, players] for players, _, _ in known], float)
            y = np.log10(np.array([[least, most] for _, least, most in known]))
        with self._bands.hold_sync():
            self._bands.x, self._bands.y = x, y
            self._bands.colors, self._bands.opacities = [GREY] * max(len(known), 1), [0.45] * max(len(known), 1)

    def _draw_rules(self, search: KneeTrials) -> None:
        gate = math.log10(search.bound)
        self._gate.x, self._gate.y = np.array([0.0, self._players.max]), np.array([gate, gate])
        _say(self._gate_word, self._players.max, gate, f"gate: {search.gate.text}")
        players = search.breaks_after
        if players is None:
            self._knee.x, self._knee.y = NOWHERE
            _say(self._knee_word, 0.0, 0.0, "")
            return
        self._knee.x, self._knee.y = np.array([players, players], float), np.array([self._late.min, self._late.max])
        name = "knee" if search.over else "knee so far"
        _say(self._knee_word, players, 0.94 * self._late.max + 0.06 * self._late.min, f"{name}: {players} players")


def around(low: float, high: float) -> list[float]:
    """Steps of 1, 2, 5, 10, … from at most `low` to at least `high`; 1, 10, … if those would be too many."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = [step * 10.0**decade for decade in range(first, last + 1) for step in (1, 2, 5)]
    start = max(index for index, step in enumerate(every) if step <= low * 1.000001)
    # One more step, so that the label of the highest point fits.
    end = min(index for index, step in enumerate(every) if step >= high) + 1
    steps = every[start : end + 1]
    decades = [10.0**decade for decade in range(first, last + 2)]
    return steps if len(steps) <= MOST_TICKS else decades


def _report(search: KneeTrials) -> str:
    parts = [
        f'<div class="cockpit-state" data-knee="{search.breaks_after or ""}">{html.escape(search.sentence())}</div>'
    ]
    if search.playing is not None:
        parts.append(f'<div class="cockpit-note">{search.playing} players play …</div>')
    runs = "\n".join(map(str, search.trials))
    tally = html.escape(search.tally())
    return (
        "".join(parts) + f'<div class="cockpit-note">{tally}</div>'
        f'<pre class="cockpit-words" style="{FIXED}">{html.escape(runs)}</pre>'
    )


def _points(scales: dict[str, bq.Scale], label: str, marker: str, color: str, filled: bool) -> bq.Scatter:
    x, y = NOWHERE
    return bq.Scatter(
        x=x, y=y, scales=scales, marker=marker, colors=[color], fill=filled, stroke=color, stroke_width=2.2,
        default_size=90, labels=[label], display_legend=True,
    )  # fmt: skip


def _rule(scales: dict[str, bq.Scale], color: str, style: str) -> bq.Lines:
    x, y = NOWHERE
    return bq.Lines(x=x, y=y, scales=scales, colors=[color], line_style=style, stroke_width=2.0)


def _word(scales: dict[str, bq.Scale], color: str) -> bq.Label:
    return bq.Label(
        x=[0.0], y=[0.0], text=[""], scales=scales, colors=[color], default_size=13, font_weight="bold", align="end",
        x_offset=-6, y_offset=-8, apply_clip=False,
    )  # fmt: skip


def _say(word: bq.Label, x: float, y: float, text: str) -> None:
    with word.hold_sync():
        word.x, word.y, word.text = np.array([float(x)]), np.array([y]), [text]


def _move(points: bq.Scatter, known: Sequence[tuple[int, float]]) -> None:
    x, y = NOWHERE
    if known:
        x = np.array([players for players, _ in known], float)
        y = np.log10(np.array([late for _, late in known]))
    with points.hold_sync():
        points.x, points.y = x, y
