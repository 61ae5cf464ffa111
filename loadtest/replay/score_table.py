"""From the text of a log to its cells: the separator, the header, and the four columns that count.

The header decides. Of the separators, the one under which it names all four columns is the log's; a first line like
`sep=;`, which Excel writes and reads, decides before it. Names count in any case and order, blanks, `_` and `-` aside,
and other columns are left out. A row has exactly as many fields as the header: with more or fewer, a separator stands
in a name, and points would be read from the wrong column.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from loadtest.replay.log_format import COLUMNS, SEPARATORS, BadRow, Choice, LogFormat, Undecided, shown

_SEP_LINE: Final = re.compile(r'"?sep=(.?)"?[^\S\t]*(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
_NAMES: Final = {mark: name for name, mark in SEPARATORS.items()}


class Cells(NamedTuple):
    """The four cells of a row that count, and the number of the row's first line."""

    line: int
    time: str
    user_id: str
    username: str
    points: str


@dataclass(slots=True)
class ScoreTable:
    """A log's rows; `blank` counts the rows of separators alone, once they have been read."""

    text: str = field(repr=False)
    separator: str
    line: int  # of the start of `text`
    begins: int  # the line of the header
    header: list[str]
    places: list[int]
    blank: int = 0

    @classmethod
    def of(cls, text: str, log_format: LogFormat) -> ScoreTable:
        """Read the header. Raises `BadRow` and `Undecided`."""
        marks, line, text = _separators(text, log_format)
        found = [table for mark in marks if (table := _table(text, mark, line, log_format)) is not None]
        if not found:
            raise _no_header(text, marks, line, log_format)
        if len(found) > 1:
            choices = [Choice(one.separator_name, "finds all columns") for one in found]
            raise Undecided(line, "expected a header with one kind of separator", "separator", choices)
        return found[0]

    @property
    def separator_name(self) -> str:
        return _NAMES[self.separator]

    @property
    def unused(self) -> list[str]:
        """The names of the columns that are left out."""
        return [name for place, name in enumerate(self.header) if place not in self.places and name]

    def rows(self) -> Iterator[Cells]:
        """The rows below the header. Raises `BadRow`."""
        seen_header = False
        for line, cells in _rows(self.text, self.separator, self.line):
            if _is_blank(cells):
                self.blank += bool(cells)
            elif not seen_header:
                seen_header = True
            elif len(cells) != len(self.header):
                raise BadRow(line, f"expected {len(self.header)} fields, got {len(cells)}")
            else:
                yield Cells(line, *(cells[place] for place in self.places))


def _separators(text: str, log_format: LogFormat) -> tuple[list[str], int, str]:
    """The separators that are possible, the number of the first line of the table, and its text."""
    given = SEPARATORS.get(log_format.separator)
    first = _SEP_LINE.match(text)
    if first is None:
        return [given] if given else list(SEPARATORS.values()), 1, text
    if first[1] not in _NAMES:
        raise BadRow(1, f"expected sep= and a {', '.join(SEPARATORS)}, got {shown(first[0].strip())}")
    return [given or first[1]], 2, text[first.end() :]


def _table(text: str, separator: str, line: int, log_format: LogFormat) -> ScoreTable | None:
    """The table, if its first row that is not blank names all columns with this separator."""
    head = _head(text, separator, line)
    places = head and _places(head[1], head[0], log_format)
    return ScoreTable(text, separator, line, *head, places) if head and places else None


def _head(text: str, separator: str, line: int) -> tuple[int, list[str]] | None:
    """The header's line and names; None if there is none with this separator."""
    try:
        head = next(((at, cells) for at, cells in _rows(text, separator, line) if not _is_blank(cells)), None)
    except BadRow:
        return None
    return head and (head[0], [cell.strip() for cell in head[1]])


def _places(header: list[str], line: int, log_format: LogFormat) -> list[int] | None:
    """Where the four columns are; None if one is missing. Raises `Undecided` if a name occurs twice."""
    named = log_format.column_names()
    found = {column: _places_of(column, named.get(column), header) for column in COLUMNS}
    if not all(found.values()):
        return None
    for column, places in found.items():
        if len(places) > 1:
            which = " and ".join(f"#{place + 1}" for place in places)
            raise Undecided(
                line,
                f"expected one column {named.get(column, column)}, got {which}",
                "columns",
                [Choice(_columns_option(named | {column: f"#{place + 1}"}), f"column {place + 1}") for place in places],
            )
    if len({place for places in found.values() for place in places}) < len(COLUMNS):
        raise BadRow(line, f"--columns: expected four different columns, got {log_format.columns}")
    return [places[0] for places in found.values()]


def _columns_option(named: dict[str, str]) -> str:
    return ",".join(f"{column}={name}" for column, name in named.items())


def _places_of(column: str, name: str | None, header: list[str]) -> list[int]:
    """The places of the columns that are called `name` (as written, or #number), or by the usual name."""
    if name is not None:
        if exact := [place for place, cell in enumerate(header) if cell == name]:
            return exact
        if number := re.fullmatch(r"#([1-9][0-9]{0,3})", name):
            return [int(number[1]) - 1] if int(number[1]) <= len(header) else []
    return [place for place, cell in enumerate(header) if _plain(cell) == _plain(name or column)]


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).casefold()


def _no_header(text: str, marks: list[str], line: int, log_format: LogFormat) -> BadRow:
    """Say which columns were expected, and what came."""
    named = log_format.column_names()
    expected = f"expected the header {','.join(named.get(column, column) for column in COLUMNS)}"
    heads = [head for mark in marks if (head := _head(text, mark, line))]
    if not heads:
        return _unreadable(text, marks[0], line) or BadRow(line, f"{expected}, got an empty file")
    # The separator that makes most columns shows best what came.
    at, header = max(heads, key=lambda head: len(head[1]))
    hint = "; --columns maps other names, as in time=Zeit,points=Punkte" if len(header) > 1 else ""
    return BadRow(at, f"{expected}, got {shown(','.join(header))}{hint}")


def _unreadable(text: str, separator: str, line: int) -> BadRow | None:
    """Why the text is no table with this separator."""
    try:
        list(_rows(text, separator, line))
    except BadRow as bad:
        return bad
    return None


def _is_blank(cells: list[str]) -> bool:
    return not any(cell.strip() for cell in cells)


def _rows(text: str, separator: str, line: int) -> Iterator[tuple[int, list[str]]]:
    """The number of each row's first line, and the row's cells. Raises `BadRow`."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    first = line
    try:
        for cells in reader:
            yield line, cells
            line = first + reader.line_num
    except csv.Error as error:
        raise BadRow(line, _not_csv(str(error), _NAMES[separator])) from None


def _not_csv(error: str, separator: str) -> str:
    """The `csv` module's error about the row that begins here, in terms of the log's author."""
    # A missing quote swallows everything that follows: to the end of the file, or to the maximum length of a field.
    if error == "unexpected end of data" or "field limit" in error:
        return 'expected a second " that closes the quoted field, got none'
    if "expected after" in error:
        return (
            f"expected a {separator} or the end of the line after a quoted field, got more text "
            '(a " inside is written "")'
        )
    return f"expected CSV, got a text with an error: {error}"
