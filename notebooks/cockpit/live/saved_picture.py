"""A picture of a `View` for the saved notebook: SVG by matplotlib, readable on light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from cockpit.live.live_state import View
from cockpit.ui.matplotlib_parts import Picture, on_paper, plain
from cockpit.ui.plurals import noun
from cockpit.ui.theme import GREY, OWN, RATE, TYPICAL, WORST

SIZE = (12.5, 3.6)  # inches
LISTED = 10


def picture(view: View) -> Picture:
    """Draw the board, the rate and the latency of `view` side by side."""

    def draw(places: Sequence[Axes]) -> None:
        for part, axes in zip((_board, _rate, _latency), places, strict=True):
            part(axes, view)
            plain(axes, along="x" if part is _board else "y")

    return on_paper(SIZE, (1.15, 1, 1), draw)


def _board(axes: Axes, view: View) -> None:
    entries = view.board.entries[:LISTED]
    axes.barh(range(len(entries)), [entry.score for entry in entries], color=[entry.color for entry in entries])
    axes.set_yticks(range(len(entries)), [f"{entry.rank}. {entry.name}" for entry in entries])
    for label in axes.get_yticklabels():
        label.set_parse_math(False)  # a name with dollars is a name
    axes.invert_yaxis()
    for position, entry in enumerate(entries):
        axes.annotate(f"{entry.score:,}", (max(entry.score, 0), position), (4, 0), textcoords="offset points",
                      va="center", color=GREY, fontsize=9)  # fmt: skip
    axes.margins(x=0.14)
    players, connected = view.board.players, view.board.participants
    axes.set_title(f"Board: {players} {noun(players, 'player')}, {connected} connected")


def _rate(axes: Axes, view: View) -> None:
    axes.fill_between(view.seconds_ago, view.updates, color=RATE, alpha=0.18, linewidth=0)
    axes.plot(view.seconds_ago, view.updates, color=RATE, linewidth=2)
    axes.set_ylim(bottom=0)
    _moments(axes, view)
    axes.set_title("Score changes per second")
    axes.set_xlabel("seconds ago")


def _latency(axes: Axes, view: View) -> None:
    for values, color, label in ((view.worst, WORST, "worst"), (view.typical, TYPICAL, "typical")):
        known = [math.nan if value is None else value for value in values]
        axes.plot(view.seconds_ago, known, color=color, linewidth=2, label=label)
    axes.plot([own.at - view.at for own in view.own], [own.milliseconds for own in view.own], "o",
              color=OWN, markersize=5, label="own scores")  # fmt: skip
    axes.set_ylim(bottom=0)
    _moments(axes, view)
    axes.set_title("Update → screen, milliseconds")
    axes.set_xlabel("seconds ago")
    axes.legend(frameon=False, labelcolor=GREY, fontsize=9)


def _moments(axes: Axes, view: View) -> None:
    for mark in view.marks:
        at = mark.at - view.at
        axes.axvline(at, color=GREY, linestyle="dashed", linewidth=1)
        axes.annotate(mark.moment.label, (at, mark.moment.height()), (-3, 0), xycoords=axes.get_xaxis_transform(),
                      textcoords="offset points", ha="right", va="center", color=GREY, fontsize=8)  # fmt: skip
