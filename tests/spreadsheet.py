"""A spreadsheet that exports a log in one of the ways in which they are found, drawn by hypothesis."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from hypothesis import strategies as st

from loadtest.replay.log_format import LogFormat
from service.core.protocol import clean_username

EVENING = datetime(2026, 4, 3, 18, 0, tzinfo=UTC)
SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
MARKS = {"point": (".", ","), "comma": (",", ".")}
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252")


class Score(NamedTuple):
    """One update, `milliseconds` after the evening began."""

    milliseconds: int
    user_id: str
    username: str
    points: int


@dataclass(frozen=True)
class Spreadsheet:
    """How it writes."""

    separator: str
    sep_line: bool
    encoding: str
    decimal: str
    times: str
    points: Sequence[str]  # how numbers are written, in turn
    header: Sequence[str]
    order: Sequence[int]  # of the four columns and the extra ones
    line_end: str
    quoting: Any
    blank_rows: int
    extra: Sequence[str] = field(default=())

    def export(self, scores: Sequence[Score]) -> bytes:
        """The file."""
        text = io.StringIO()
        mark = SEPARATORS[self.separator]
        writer = csv.writer(text, delimiter=mark, lineterminator=self.line_end, quoting=self.quoting)
        if self.sep_line:
            text.write(f"sep={mark}{self.line_end}")
        writer.writerow(self._in_order([*self.header, *self.extra]))
        for number, score in enumerate(scores):
            cells = (self._time(score.milliseconds), score.user_id, score.username, self._points(number, score.points))
            writer.writerow(self._in_order([*cells, *("see above" for _ in self.extra)]))
        text.write((mark * (len(self.order) - 1) + self.line_end) * self.blank_rows)
        return text.getvalue().encode(self.encoding)

    def format(self) -> LogFormat:
        """What a user who knows all of it would say."""
        units = {"milliseconds": "ms", "seconds": "s", "clock": "hh:mm:ss"}
        return LogFormat(
            separator=self.separator, encoding=self.encoding, decimal=self.decimal,
            time_unit=units.get(self.times, ""), date_order=self.times if self.times in {"dmy", "mdy"} else "",
        )  # fmt: skip

    def _in_order(self, cells: Sequence[str]) -> list[str]:
        return [cells[place] for place in self.order]

    def _time(self, milliseconds: int) -> str:
        moment = EVENING + timedelta(milliseconds=milliseconds)
        clock = f"{moment:%H:%M:%S}.{milliseconds % 1000:03}"
        seconds = f"{milliseconds // 1000}{MARKS[self.decimal][0]}{milliseconds % 1000:03}"
        return {
            "seconds": seconds, "milliseconds": str(milliseconds), "iso": moment.isoformat(), "clock": clock,
            "dmy": f"{moment.day}/{moment.month:02}/{moment.year} {clock}",
            "mdy": f"{moment.month}/{moment.day}/{moment.year} {clock}",
        }[self.times]  # fmt: skip

    def _points(self, number: int, points: int) -> str:
        decimal, group = MARKS[self.decimal]
        return {
            "plain": str(points), "sign": f"{points:+}", "blanks": f" {points} ", "decimals": f"{points}{decimal}0",
            "three decimals": f"{points}{decimal}000", "groups": f"{points:,}".replace(",", group),
        }[self.points[number % len(self.points)]]  # fmt: skip


def _in_some_case(name: str) -> st.SearchStrategy[str]:
    return st.sampled_from([name, name.upper(), name.lower(), name.title(), f" {name} "])


def _written_in(encoding: str) -> st.SearchStrategy[str]:
    characters = "aZ9 ,;|\"'äéß€" + ("" if encoding == "cp1252" else "ăЖ名😀")
    return st.text(characters, min_size=1, max_size=12).map(str.strip).filter(bool).map(clean_username)


@st.composite
def spreadsheets(draw: st.DrawFn) -> tuple[Spreadsheet, list[Score]]:
    """A spreadsheet and what is in it."""
    extra = draw(st.lists(st.sampled_from(["note", "total points", "team"]), unique=True))
    sheet = Spreadsheet(
        separator=draw(st.sampled_from(sorted(SEPARATORS))),
        sep_line=draw(st.booleans()),
        encoding=draw(st.sampled_from(ENCODINGS)),
        decimal=draw(st.sampled_from(sorted(MARKS))),
        times=draw(st.sampled_from(["seconds", "milliseconds", "iso", "clock", "dmy", "mdy"])),
        points=draw(
            st.lists(st.sampled_from(["plain", "sign", "blanks", "decimals", "three decimals", "groups"]), min_size=1)
        ),
        header=[draw(_in_some_case(name)) for name in ("time", "userId", "username", "points")],
        order=draw(st.permutations(range(4 + len(extra)))),
        line_end=draw(st.sampled_from(["\n", "\r\n", "\r"])),
        quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
        blank_rows=draw(st.integers(0, 3)),
        extra=extra,
    )
    scores = st.builds(
        Score,
        st.integers(0, 5 * 3_600_000),
        st.from_regex(r"[A-Za-z0-9_.-]{1,6}", fullmatch=True),
        _written_in(sheet.encoding),
        st.one_of(st.integers(-1_000_000, 1_000_000), st.sampled_from([0, 1000, -1000, 10])),
    )
    return sheet, draw(st.lists(scores, min_size=1, max_size=6))
