"""Live charts of a `View`: the board as a race, score changes a second, and how late the screen is.

Each chart owns a bqplot figure and has one method, `draw(view)`, which writes traits inside
`hold_sync`: one message to the browser however much moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import bqplot as bq
import numpy as np

from cockpit.live.live_state import BoardRow, View
from cockpit.live.outage_record import MARKS_KEPT
from cockpit.ui.bqplot_parts import above, axes, figure, grow, last_minute, line, ticks, with_gaps
from cockpit.ui.theme import GREY, OWN, RATE, TYPICAL, WORST

BARS = 10
THICKNESS = 18  # pixels of a bar; the chart's height gives each place 25
LABEL = 16  # characters of a name that fit beside its bar
MOVE = 350  # ms in which a bar moves to its new place
FREE = BARS + 1.0  # where an unused bar is: below the chart
EMPTY = "#00000000"
OUT_OF_SIGHT = -120.0  # seconds, left of the chart


class LiveChart(Protocol):
    """What the render task draws."""

    widget: bq.Figure

    def draw(self, view: View) -> None:
        """Show `view`."""


class Slots:
    """Gives each listed player a place in the arrays that stays the same while the player is listed.

    bqplot animates each line by its index: with fixed places a bar that overtakes another moves; otherwise
    both would change colour.
    """

    def __init__(self, size: int) -> None:
        self._users: list[str | None] = [None] * size

    def place(self, entries: Sequence[BoardRow]) -> list[tuple[int, BoardRow] | None]:
        """Return for each slot the position on the board (0 is the top) and the entry, or None if it is free."""
        listed = {entry.user: (position, entry) for position, entry in enumerate(entries[: len(self._users)])}
        self._users = [user if user in listed else None for user in self._users]
        for user in listed:
            if user not in self._users:
                self._users[self._users.index(None)] = user
        return [None if user is None else listed[user] for user in self._users]


class BoardChart:
    """The first ten of the board as bars that move to their place."""

    def __init__(self) -> None:
        self._slots = Slots(BARS)
        self._shown: tuple[BoardRow, ...] | None = None
        self._places = bq.LinearScale(min=-0.6, max=BARS - 0.4, reverse=True)
        self._scores = bq.LinearScale(min=0.0, max=100.0)
        free = np.full(BARS, FREE)
        scales = {"x": self._scores, "y": self._places}
        # Thick lines: bqplot's own bars grow thicker the fewer there are, until they overlap, and leave an
        # element behind in the page with each draw.
        self._bars = bq.Lines(
            x=_ends(np.zeros(BARS), np.zeros(BARS)), y=_ends(free, free), scales=scales, colors=[GREY] * BARS,
            stroke_width=THICKNESS,
        )  # fmt: skip
        self._labels = bq.Label(
            x=np.zeros(BARS),
            y=free,
            text=[""] * BARS,
            scales=scales,
            colors=[GREY],
            default_size=13,
            font_weight="normal",
            x_offset=6,
            y_offset=0,
            apply_clip=False,
        )
        self._axis = bq.Axis(scale=self._scores, grid_lines="solid", tick_format="~s")
        self.widget = figure([self._bars, self._labels], [self._axis], "Board", MOVE, left=14)

    def draw(self, view: View) -> None:
        """Show the board of `view`; nothing is sent while it stays the same."""
        entries = view.board.entries[:BARS]
        if entries == self._shown:
            return
        self._shown = entries
        places = self._slots.place(entries)
        position = np.array([FREE if place is None else float(place[0]) for place in places])
        score = np.array([0.0 if place is None else float(place[1].score) for place in places])
        low, high = min(0.0, float(score.min()) * 1.25), above(float(score.max()) * 1.5)
        with self._scores.hold_sync():
            self._scores.min, self._scores.max = low, high
        self._axis.tick_values = ticks(high)
        with self._bars.hold_sync():
            self._bars.colors = [EMPTY if place is None else place[1].color for place in places]
            self._bars.x, self._bars.y = _ends(np.zeros(BARS), score), _ends(position, position)
        with self._labels.hold_sync():
            self._labels.text = ["" if place is None else _label(place[1]) for place in places]
            self._labels.x, self._labels.y = np.maximum(score, 0.0), position


class Moments:
    """The moments of an outage on a chart over time: vertical lines, each label at another height."""

    def __init__(self, time: bq.Scale, top: float = 0.97) -> None:
        self._top = top
        self._shown = False
        scales = {"x": time, "y": bq.LinearScale(min=0.0, max=1.0)}
        away = np.full((MARKS_KEPT, 2), OUT_OF_SIGHT)
        self._lines = bq.Lines(
            x=away, y=np.tile([0.0, 1.0], (MARKS_KEPT, 1)), scales=scales, colors=[GREY], line_style="dashed",
            stroke_width=1.2,
        )  # fmt: skip
        self._words = bq.Label(
            x=away[:, 0],
            y=np.zeros(MARKS_KEPT),
            text=[""] * MARKS_KEPT,
            scales=scales,
            colors=[GREY],
            default_size=11,
            font_weight="normal",
            align="end",
            x_offset=-4,
            apply_clip=False,
        )
        self.marks = [self._lines, self._words]

    def draw(self, view: View) -> None:
        """Show the moments of `view`; nothing is sent while there are none."""
        if not view.marks and not self._shown:
            return
        self._shown = bool(view.marks)
        free = MARKS_KEPT - len(view.marks)
        x = np.array([mark.at - view.at for mark in view.marks] + [OUT_OF_SIGHT] * free)
        with self._lines.hold_sync():
            self._lines.x = np.column_stack([x, x])
        with self._words.hold_sync():
            self._words.text = [mark.moment.label for mark in view.marks] + [""] * free
            heights = [mark.moment.height(self._top) for mark in view.marks]
            self._words.x, self._words.y = x, np.array(heights + [0.0] * free)


class RateChart:
    """Score changes a second, over the last minute."""

    def __init__(self) -> None:
        self._height = bq.LinearScale(min=0.0, max=10.0)
        scales = {"x": last_minute(), "y": self._height}
        self._line = bq.Lines(
            x=[0.0], y=[0.0], scales=scales, colors=[RATE], fill="bottom", fill_opacities=[0.18], stroke_width=2.5
        )
        self._axes = axes(scales)
        self._moments = Moments(scales["x"])
        self.widget = figure([self._line, *self._moments.marks], self._axes, "Score changes per second")

    def draw(self, view: View) -> None:
        """Show the rates of `view`."""
        values = np.array(view.updates, dtype=float)
        grow(self._height, self._axes[1], float(values.max(initial=0.0)))
        with self._line.hold_sync():
            self._line.x, self._line.y = np.array(view.seconds_ago, dtype=float), values
        self._moments.draw(view)


class LatencyChart:
    """Update → this notebook's own client: typical and worst of each second, and this notebook's own scores."""

    def __init__(self) -> None:
        self._height = bq.LinearScale(min=0.0, max=10.0)
        scales = {"x": last_minute(), "y": self._height}
        self._typical = line(scales, TYPICAL, "typical")
        self._worst = line(scales, WORST, "worst")
        self._own = bq.Scatter(
            x=[], y=[], scales=scales, colors=[OWN], default_size=46, labels=["own scores"], display_legend=True
        )
        self._moments = Moments(scales["x"], top=0.72)  # below the legend
        marks = [self._worst, self._typical, self._own, *self._moments.marks]
        self._axes = axes(scales)
        self.widget = figure(marks, self._axes, "Update → screen, milliseconds")
        self.widget.legend_location = "top-left"
        self.widget.legend_style = {"fill": "transparent", "stroke-width": 0}

    def draw(self, view: View) -> None:
        """Show the latencies of `view`."""
        own_x = np.array([own.at - view.at for own in view.own])
        own_y = np.array([own.milliseconds for own in view.own])
        known = [value for value in view.worst if value is not None]
        grow(self._height, self._axes[1], max([*known, *own_y], default=0.0))
        for drawn, values in ((self._typical, view.typical), (self._worst, view.worst)):
            with drawn.hold_sync():
                drawn.x, drawn.y = with_gaps(view.seconds_ago, values)
        with self._own.hold_sync():
            self._own.x, self._own.y = own_x, own_y
        self._moments.draw(view)


def _ends(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the two ends of a line in each row."""
    return np.column_stack([one, other])


def _label(entry: BoardRow) -> str:
    name = entry.name if len(entry.name) <= LABEL else entry.name[: LABEL - 1] + "…"
    return f"{entry.rank}. {entry.avatar} {name}  {entry.score:,}"
