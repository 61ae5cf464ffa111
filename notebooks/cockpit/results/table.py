"""A table for a notebook: HTML that follows the theme, plain text where there is no display."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

STYLE = "font-variant-numeric:tabular-nums;border-collapse:collapse"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a head; the first column holds names, the others figures. `notes` are below."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def __repr__(self) -> str:
        widths = [max(len(line[n]) for line in (self.head, *self.rows)) for n in range(len(self.head))]
        lines = [
            "  ".join(
                text.ljust(width) if n == 0 else text.rjust(width)
                for n, (text, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in (self.head, *self.rows)
        ]
        rule = "─" * (sum(widths) + 2 * len(widths) - 2)
        return "\n".join([lines[0], rule, *lines[1:], *(f"warning: {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        def line(texts: Sequence[str], cell: str) -> str:
            return "<tr>" + "".join(_cell(text, cell, first=n == 0) for n, text in enumerate(texts)) + "</tr>"

        body = "".join(line(row, "td") for row in self.rows)
        notes = "".join(f"<div><small>warning: {html.escape(note)}</small></div>" for note in self.notes)
        return f'<table style="{STYLE}"><thead>{line(self.head, "th")}</thead><tbody>{body}</tbody></table>{notes}'


def _cell(text: str, kind: str, *, first: bool) -> str:
    align = "left" if first else "right"
    return f'<{kind} style="text-align:{align};padding:2px 10px">{html.escape(text)}</{kind}>'
