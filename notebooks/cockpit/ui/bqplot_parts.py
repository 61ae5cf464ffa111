"""What the live charts share: scales, axes that keep round limits, lines with gaps, the figure around them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import bqplot as bq
import numpy as np

HEIGHT = "330px"


def above(value: float) -> float:
    """Return a round number at or above `value` and 10, so that an axis changes seldom."""
    if value <= 10:
        return 10.0
    decade = 10.0 ** math.floor(math.log10(value))
    return next(step * decade for step in (1, 1.5, 2, 3, 5, 7.5, 10) if step * decade >= value)


def with_gaps(seconds: Sequence[int], values: Sequence[float | None]) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y from the first known value to the last, with NaN for unknown values between them.

    bqplot fails on a line whose last point is NaN.
    """
    known = [index for index, value in enumerate(values) if value is not None]
    if not known:
        return np.array([-2.0 * len(seconds)]), np.array([0.0])  # out of sight
    part = slice(known[0], known[-1] + 1)
    y = [math.nan if value is None else value for value in values[part]]
    return np.array(seconds[part], dtype=float), np.array(y)


def last_minute() -> bq.LinearScale:
    """Return the x scale of a chart over time."""
    return bq.LinearScale(min=-60.0, max=0.0)


def line(scales: dict[str, bq.Scale], color: str, label: str) -> bq.Lines:
    """Return a line that is in the legend."""
    return bq.Lines(
        x=[0.0], y=[0.0], scales=scales, colors=[color], stroke_width=2.2, labels=[label], display_legend=True
    )


def axes(scales: dict[str, bq.Scale]) -> list[bq.Axis]:
    """Return the axes: seconds ago below, values on the left."""
    # Ticks are given: bqplot would place them in a domain that it has widened for the size of the marks.
    return [
        bq.Axis(scale=scales["x"], grid_lines="none", tick_values=[-60, -45, -30, -15, 0], tick_format="d",
                label="seconds ago", label_offset="30px"),
        bq.Axis(scale=scales["y"], side="left", tick_values=ticks(10), grid_lines="solid", tick_format="~s"),
    ]  # fmt: skip


def grow(scale: bq.LinearScale, axis: bq.Axis, highest: float) -> None:
    """Extend the axis to a round number above `highest`."""
    high = above(highest * 1.15)
    if scale.max != high:
        scale.max = high
        axis.tick_values = ticks(high)


def ticks(high: float) -> np.ndarray:
    """Return six ticks from 0 to `high`."""
    return np.linspace(0.0, high, 6)


def figure(marks: list[bq.Mark], sides: list[bq.Axis], title: str, move: int = 0, left: int = 44) -> bq.Figure:
    """Return a figure that shares a row with others; its marks move to new places within `move` ms."""
    drawn = bq.Figure(
        marks=marks,
        axes=sides,
        title=title,
        animation_duration=move,
        fig_margin={"top": 34, "bottom": 40, "left": left, "right": 14},
        background_style={"fill": "transparent"},
        padding_x=0,
        padding_y=0,
        display_toolbar=False,
    )
    drawn.layout.height, drawn.layout.width = HEIGHT, "auto"
    drawn.layout.flex = "1 1 0"
    drawn.layout.min_width = "0"
    return drawn
