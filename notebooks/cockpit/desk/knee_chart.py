"""The chart of a search for the knee: players across, p99 latency up, the gate as a line, each run as a point."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import bqplot as bq
import ipywidgets as widgets
import numpy as np

from cockpit.desk.knee_trials import WORDS, KneeTrials
from cockpit.runs.progress import RunProgress
from cockpit.ui.bqplot_parts import above, figure, ticks
from cockpit.ui.theme import GREEN, GREY, ORANGE, PURPLE, VERMILLION
from loadtest.judge.knee_search import Outcome

# Shape and colour say the same, for eyes of every kind. What is INVALID is hollow: it proves nothing.
LOOKS = {
    Outcome.HELD: ("circle", GREEN, True),
    Outcome.MISSED: ("cross", VERMILLION, True),
    Outcome.SPOILED: ("diamond", ORANGE, False),
}
FIXED = "font-size:12px;white-space:pre-wrap;word-break:normal"
MOST_TICKS = 9
NOWHERE = np.array([0.0, 0.0]), np.array([-9.0, -9.0])  # under the chart, and clipped


class KneeChart:
    """What was tried, live; and below, what that says. `widget` is empty until there is an ascent."""

    def __init__(self) -> None:
        self._players = bq.LinearScale(min=0.0, max=100.0)
        self._late = bq.LinearScale(min=0.0, max=3.0)  # powers of ten of a millisecond
        scales = {"x": self._players, "y": self._late}
        self._points = {outcome: _points(scales, WORDS[outcome], *look) for outcome, look in LOOKS.items()}
        self._now = _points(scales, "playing", "square", GREY, filled=False)
        self._gate = _rule(scales, VERMILLION, "dashed")
        self._knee = _rule(scales, PURPLE, "solid")
        self._gate_word, self._knee_word = _word(scales, VERMILLION), _word(scales, PURPLE)
        self._across = bq.Axis(
            scale=self._players, grid_lines="none", tick_values=ticks(100), tick_format="d", label="players",
            label_offset="30px",
        )  # fmt: skip
        self._up = bq.Axis(scale=self._late, side="left", grid_lines="solid", tick_values=[0, 1, 2, 3])
        marks = [self._gate, self._knee, *self._points.values(), self._now, self._gate_word, self._knee_word]
        self._figure = figure(marks, [self._across, self._up], "The knee: score → other screens, p99, milliseconds")
        self._figure.legend_location, self._figure.legend_style = "top-left", {"fill": "transparent", "stroke-width": 0}
        self._figure.layout.flex = "1.7 1 0"
        self._words = widgets.HTML(layout={"flex": "1 1 0", "min_width": "0"})
        self.widget = widgets.HBox([], layout={"grid_gap": "12px", "align_items": "center"})

    def draw(self, ascent: KneeTrials, course: RunProgress | None) -> None:
        """Show `ascent`; `course` is that of the run that plays now."""
        if not self.widget.children:
            self.widget.children = (self._figure, self._words)
        late = None if course is None or course.last is None else course.last.p99
        now = [] if ascent.playing is None or late is None else [(ascent.playing, late)]
        self._fit(ascent, now)
        for outcome, points in self._points.items():
            known = [(one.players, one.p99) for one in ascent.trials if one.outcome is outcome and one.p99 is not None]
            _move(points, known)
        _move(self._now, now)
        self._draw_rules(ascent)
        self._words.value = _told(ascent)

    def _fit(self, ascent: KneeTrials, now: Sequence[tuple[int, float]]) -> None:
        """Let the axes hold all points, with room for words at the right."""
        most = max([ascent.playing or 0, *(trial.players for trial in ascent.trials)])
        high = above(most * 1.1)
        if self._players.max != high:
            self._players.max, self._across.tick_values = high, ticks(high)
        values = [ascent.bound, *(one.p99 for one in ascent.trials if one.p99), *(value for _, value in now)]
        steps = around(min(values), max(values))
        low, high = math.log10(steps[0]), math.log10(steps[-1])
        if (self._late.min, self._late.max) != (low, high):
            with self._up.hold_sync():
                # Found by the place as JavaScript writes it: a whole one without a fraction.
                self._up.tick_labels = {str(math.log10(step)).removesuffix(".0"): f"{step:g}" for step in steps}
                self._up.tick_values = [math.log10(step) for step in steps]
            with self._late.hold_sync():
                self._late.min, self._late.max = low, high

    def _draw_rules(self, ascent: KneeTrials) -> None:
        gate = math.log10(ascent.bound)
        self._gate.x, self._gate.y = np.array([0.0, self._players.max]), np.array([gate, gate])
        _say(self._gate_word, self._players.max, gate, f"gate: {ascent.gate.text}")
        players = ascent.breaks_after
        if players is None:
            self._knee.x, self._knee.y = NOWHERE
            _say(self._knee_word, 0.0, 0.0, "")
            return
        self._knee.x, self._knee.y = np.array([players, players], float), np.array([self._late.min, self._late.max])
        name = "knee" if ascent.over else "knee so far"
        _say(self._knee_word, players, 0.94 * self._late.max + 0.06 * self._late.min, f"{name}: {players} players")


def around(low: float, high: float) -> list[float]:
    """Steps of 1, 2, 5, 10, … from at most `low` to at least `high`; of 1, 10, … where those would be many."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = [step * 10.0**decade for decade in range(first, last + 1) for step in (1, 2, 5)]
    start = max(index for index, step in enumerate(every) if step <= low * 1.000001)
    # One step of room above, so that words at the highest point have a place.
    end = min(index for index, step in enumerate(every) if step >= high) + 1
    steps = every[start : end + 1]
    decades = [10.0**decade for decade in range(first, last + 2)]
    return steps if len(steps) <= MOST_TICKS else decades


def _told(ascent: KneeTrials) -> str:
    parts = [
        f'<div class="cockpit-state" data-knee="{ascent.breaks_after or ""}">{html.escape(ascent.sentence())}</div>'
    ]
    if ascent.playing is not None:
        parts.append(f'<div class="cockpit-note">{ascent.playing} players play …</div>')
    runs = "\n".join(map(str, ascent.trials))
    tally = html.escape(ascent.tally())
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
