"""Small charts as SVG, for a page that must be readable offline and in a hundred years.

Pure: numbers in, markup out. The colours are Okabe and Ito's, which colour-blind readers can tell apart; lines, texts
and backgrounds use the page's own colours (`currentColor`), so a chart is readable in light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final, Literal

COLOURS: Final = ("#0072B2", "#E69F00", "#D55E00", "#CC79A7", "#009E73", "#56B4E9")
MARK: Final = "#D55E00"
WIDTH: Final = 860
LEFT: Final = 64
RIGHT: Final = 14
TOP: Final = 26
BOTTOM: Final = 34
LETTER: Final = 6.4  # mean width of a letter in a rule's label
ROWS: Final = 5  # of such labels, one below the other

Points = Sequence[tuple[float, float | None]]


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values to positions in the drawing; use `kind` log for values that span powers of ten."""

    low: float
    high: float
    start: float
    stop: float
    kind: Literal["linear", "log"] = "linear"

    def at(self, value: float) -> float:
        """The position of a value, clamped to the drawing."""
        low, high, value = (self._turned(one) for one in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + min(max(share, 0.0), 1.0) * (self.stop - self.start)

    def _turned(self, value: float) -> float:
        return math.log10(max(value, 1e-9)) if self.kind == "log" else value

    def ticks(self) -> list[float]:
        """Round values from low to high: powers of ten, or steps of 1, 2 or 5."""
        if self.kind == "log":
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            return [10.0**power for power in powers]
        step = 10 ** math.floor(math.log10(max(self.high - self.low, 1e-12) / 4))
        step *= next(times for times in (1, 2, 5, 10) if (self.high - self.low) / (step * times) <= 7)
        first = math.ceil(self.low / step - 1e-9)
        return [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]


@dataclass(slots=True)
class SvgChart:
    """A chart with two axes; parts are drawn from back to front."""

    title: str
    x: tuple[float, float]
    y: tuple[float, float]
    x_label: str = "seconds"
    y_label: str = ""
    x_kind: Literal["linear", "log"] = "linear"
    y_kind: Literal["linear", "log"] = "linear"
    height: int = 230
    _parts: list[str] = field(default_factory=list)
    _legend: list[tuple[str, str]] = field(default_factory=list)
    _words: list[tuple[float, float, int]] = field(default_factory=list)  # labels of rules: from, to, row

    @property
    def across(self) -> Scale:
        """The scale from left to right."""
        return Scale(*self.x, LEFT, WIDTH - RIGHT, self.x_kind)

    @property
    def up(self) -> Scale:
        """The scale from bottom to top."""
        return Scale(*self.y, self.height - BOTTOM, TOP, self.y_kind)

    def line(self, name: str, points: Points, colour: str) -> None:
        """A line, interrupted where a value is None."""
        path, pen = [], "M"
        for x, y in points:
            if y is None:
                pen = "M"
                continue
            path.append(f"{pen}{self.across.at(x):.1f} {self.up.at(y):.1f}")
            pen = "L"
        self._parts.append(f'<path d="{"".join(path)}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        # A single value between two gaps makes no line: show it as a dot.
        self._parts += [
            f'<circle cx="{self.across.at(x):.1f}" cy="{self.up.at(y):.1f}" r="1.6" fill="{colour}"/>'
            for x, y in points
            if y is not None
        ]
        self._legend.append((name, colour))

    def bar(self, left: float, right: float, value: float, colour: str) -> None:
        """A bar from the x axis, between two values of x."""
        begin, end, top = self.across.at(left), self.across.at(right), self.up.at(value)
        self._parts.append(_rect(begin, top, end - begin, self.height - BOTTOM - top, colour))

    def cell(self, x: tuple[float, float], y: tuple[float, float], strength: float) -> None:
        """A cell of a heat map; strength from 0 to 1."""
        left, right, low, high = self.across.at(x[0]), self.across.at(x[1]), self.up.at(y[0]), self.up.at(y[1])
        self._parts.append(_rect(left, high, right - left, low - high, COLOURS[0], 0.12 + 0.88 * strength))

    def rule(self, x: float, text: str) -> None:
        """A vertical line with a label at its top, in a free row; without the label if no row is free."""
        place = self.across.at(x)
        self._parts.append(
            f'<path d="M{place:.1f} {TOP}V{self.height - BOTTOM}" stroke="{MARK}" stroke-dasharray="4 3"/>'
        )
        width = LETTER * len(text) + 8
        left = place - width if place + width > WIDTH else place
        taken = {row for begin, end, row in self._words if left < end and begin < left + width}
        free = next((row for row in range(ROWS) if row not in taken), None)
        if free is None:
            return
        self._words.append((left, left + width, free))
        at = f'x="{left + 4:.1f}" y="{TOP + 11 + 14 * free}"'
        self._parts.append(f'<text class="mark" {at} style="fill:{MARK}">{escape(text)}</text>')

    def svg(self) -> str:
        """The markup of the whole chart."""
        return _svg(self.title, self.height, [*self._frame(), *self._parts, *self._names()])

    def _frame(self) -> list[str]:
        bottom = self.height - BOTTOM
        parts = []
        for value in self.up.ticks():
            place = self.up.at(value)
            parts.append(
                f'<path class="grid" d="M{LEFT} {place:.1f}H{WIDTH - RIGHT}"/>'
                f'<text x="{LEFT - 6}" y="{place + 4:.1f}" text-anchor="end">{number(value)}</text>'
            )
        for value in self.across.ticks():
            place = self.across.at(value)
            parts.append(
                f'<path class="axis" d="M{place:.1f} {bottom}v4"/>'
                f'<text x="{place:.1f}" y="{bottom + 16}" text-anchor="middle">{number(value)}</text>'
            )
        parts.append(f'<path class="axis" d="M{LEFT} {bottom}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{WIDTH - RIGHT}" y="{self.height - 3}" text-anchor="end">{escape(self.x_label)}</text>')
        parts.append(f'<text x="4" y="{TOP - 10}">{escape(self.y_label)}</text>')
        return parts

    def _names(self) -> list[str]:
        place = WIDTH - RIGHT
        parts = []
        for name, colour in reversed(self._legend):
            place -= 7 * len(name) + 4
            parts.append(
                f'<text x="{place}" y="{TOP - 10}" style="fill:{colour};font-weight:600">{escape(name)}</text>'
            )
            place -= 14
        return parts


def stacked(title: str, parts: Mapping[str, float], unit: str) -> str:
    """One horizontal bar, made of named parts."""
    total = sum(parts.values()) or 1.0
    scale = Scale(0.0, total, LEFT, WIDTH - RIGHT)
    place, drawn = 0.0, []
    for row, ((name, value), colour) in enumerate(zip(parts.items(), COLOURS, strict=False)):
        begin, end = scale.at(place), scale.at(place + value)
        drawn.append(_rect(begin, 8, max(end - begin, 1.0), 34, colour))
        drawn.append(
            f'<rect x="{LEFT}" y="{56 + 18 * row}" width="10" height="10" fill="{colour}"/>'
            f'<text x="{LEFT + 16}" y="{65 + 18 * row}">{escape(name)}: {value:.2f} {escape(unit)}</text>'
        )
        place += value
    return _svg(title, 64 + 18 * len(parts), drawn)


def number(value: float) -> str:
    """A tick's label, as short as possible."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def _rect(x: float, y: float, width: float, height: float, colour: str, opacity: float = 1.0) -> str:
    shade = "" if opacity == 1 else f' opacity="{opacity:.2f}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.2f}" height="{height:.2f}" fill="{colour}"{shade}/>'


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title, quote=True)}">{"".join(parts)}</svg></figure>'
    )
