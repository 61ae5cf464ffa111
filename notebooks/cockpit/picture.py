"""A picture of a `View` that stays in the saved notebook: SVG by matplotlib, readable on light and dark."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cockpit.look import GREY, OWN, RATE, TYPICAL, WORST
from cockpit.state import View
from cockpit.words import noun

SIZE = (12.5, 3.6)  # inches
LISTED = 10
DOTS = 110  # an inch, of the PNG


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as a notebook keeps it: SVG, and PNG for a reader who does not trust the file, and sees no SVG."""

    data: str
    png: bytes

    def __repr__(self) -> str:
        return "a picture (SVG and PNG)"

    def _repr_svg_(self) -> str:
        return self.data

    def _repr_png_(self) -> bytes:
        return self.png


def picture(view: View) -> Picture:
    """The board, the rate and the latency of `view` side by side."""

    def draw(places: Sequence[Axes]) -> None:
        for part, axes in zip((_board, _rate, _latency), places, strict=True):
            part(axes, view)
            plain(axes, along="x" if part is _board else "y")

    return on_paper(SIZE, (1.15, 1, 1), draw)


def on_paper(size: tuple[float, float], widths: Sequence[float], draw: Callable[[Sequence[Axes]], None]) -> Picture:
    """What `draw` draws on places of these widths side by side, as a picture of `size` inches."""
    with rc_context({"font.family": "sans-serif", "svg.fonttype": "none", "svg.hashsalt": "cockpit", "font.size": 10}):
        figure = Figure(size, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0])
        text, dots = io.BytesIO(), io.BytesIO()
        with warnings.catch_warnings():
            # A name may have letters that matplotlib's font lacks; the SVG holds text, the browser has them.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
            figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
            figure.savefig(dots, format="png", transparent=True, metadata={"Software": None}, dpi=DOTS)
    return Picture(_fitting(text.getvalue().decode()), dots.getvalue())


def _fitting(svg: str) -> str:
    """The same picture, as small as its place needs: it is never cut off at the right."""
    return svg.replace("<svg ", '<svg style="max-width: 100%; height: auto" ', 1)


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


def plain(axes: Axes, along: Literal["x", "y", "both"] = "y") -> None:
    """Grey words, no frame, and a light grid `along` the axis: readable on light and dark."""
    axes.title.set_color(GREY)
    axes.xaxis.label.set_color(GREY)
    axes.yaxis.label.set_color(GREY)
    axes.tick_params(colors=GREY, length=0)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    axes.grid(axis=along, color=GREY, alpha=0.25)
    axes.set_axisbelow(True)
