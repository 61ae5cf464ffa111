"""What the pictures of a notebook share: SVG by matplotlib that is saved with it, readable on light and dark."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cockpit.ui.theme import GREY

DOTS = 110  # an inch, of the PNG


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as a notebook saves it: SVG, and PNG because SVG is not shown in an untrusted notebook."""

    data: str
    png: bytes

    def __repr__(self) -> str:
        return "a picture (SVG and PNG)"

    def _repr_svg_(self) -> str:
        return self.data

    def _repr_png_(self) -> bytes:
        return self.png


def on_paper(size: tuple[float, float], widths: Sequence[float], draw: Callable[[Sequence[Axes]], None]) -> Picture:
    """Let `draw` draw on axes of these relative widths, side by side; return a picture of `size` inches."""
    with rc_context({"font.family": "sans-serif", "svg.fonttype": "none", "svg.hashsalt": "cockpit", "font.size": 10}):
        figure = Figure(size, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0])
        text, dots = io.BytesIO(), io.BytesIO()
        with warnings.catch_warnings():
            # A name may have letters that matplotlib's font lacks; the SVG holds text, and the browser has them.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
            figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
            figure.savefig(dots, format="png", transparent=True, metadata={"Software": None}, dpi=DOTS)
    return Picture(_fitting(text.getvalue().decode()), dots.getvalue())


def _fitting(svg: str) -> str:
    """Let the picture shrink to the width of its place, so that it is never cut off."""
    return svg.replace("<svg ", '<svg style="max-width: 100%; height: auto" ', 1)


def plain(axes: Axes, along: Literal["x", "y", "both"] = "y") -> None:
    """Use grey text, no frame, and a light grid `along` the axis: readable on light and dark."""
    axes.title.set_color(GREY)
    axes.xaxis.label.set_color(GREY)
    axes.yaxis.label.set_color(GREY)
    axes.tick_params(colors=GREY, length=0)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    axes.grid(axis=along, color=GREY, alpha=0.25)
    axes.set_axisbelow(True)
