"""How fast a figure grows: the least-squares line, and the interval in which its slope lies with a confidence of 95 %.

Memory moves in steps, and a sample is nearly the one before it, so thousands of samples do not say as much as they
seem to. The line is therefore drawn through the means of `STRETCHES` stretches of equal time, and only these count.
In a run of an hour a stretch is five minutes: one rotation of the op ids, whose rise and fall is then the same in each.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

STRETCHES = 9
T = 2.365  # Student's t, 97.5 %, with STRETCHES - 2 degrees of freedom


@dataclass(frozen=True, slots=True)
class Slope:
    """Units an hour, and the ends of the interval."""

    an_hour: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.an_hour:+.2f} an hour (95 %: {self.low:+.2f} to {self.high:+.2f})"


def slope(samples: Sequence[tuple[float, float]]) -> Slope | None:
    """The slope of (seconds, value); None where a stretch has no sample."""
    means = _means(samples)
    if means is None:
        return None
    hours, values = zip(*means, strict=True)
    line = statistics.linear_regression(hours, values)
    rest = sum((value - line.slope * hour - line.intercept) ** 2 for hour, value in means)
    spread = sum((hour - statistics.fmean(hours)) ** 2 for hour in hours)
    half = T * math.sqrt(rest / (STRETCHES - 2) / spread)
    return Slope(line.slope, line.slope - half, line.slope + half)


def _means(samples: Sequence[tuple[float, float]]) -> list[tuple[float, float]] | None:
    """(hours, mean) of each stretch."""
    if len(samples) < STRETCHES:
        return None
    began, length = samples[0][0], samples[-1][0] - samples[0][0]
    stretches: list[list[tuple[float, float]]] = [[] for _ in range(STRETCHES)]
    for at, value in samples:
        stretches[min(int((at - began) / length * STRETCHES), STRETCHES - 1)].append((at / 3600, value))
    if not all(stretches):
        return None
    return [tuple(map(statistics.fmean, zip(*each, strict=True))) for each in stretches]  # type: ignore[misc]
