"""A score log: who scored how much, and when. A CSV with the columns `time`, `userId`, `username`, `points`.

`time` is a number of seconds or an ISO 8601 date and time, the same kind throughout a log (a date and
time without a zone is UTC), or one of the forms that spreadsheets write. Everything that a service would refuse is
refused here, with its line number, before anything is sent; so is everything that could be read in two ways, with the
option that decides (`log_format`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from loadtest.replay.decimal_mark import readings
from loadtest.replay.log_format import BadRow, Choice, LogFormat, Undecided, shown
from loadtest.replay.log_times import Reading, TimeCell, read_times, time_cell
from loadtest.replay.score_table import Cells, ScoreTable
from loadtest.replay.text_encoding import decode
from service.core.protocol import ID_PATTERN, MAX_POINTS, MAX_TOTAL, clean_username

_USER_ID = re.compile(ID_PATTERN)
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
AS_WRITTEN: Final = LogFormat()


class Unreadable(Exception):
    """The file does not exist or cannot be read; the text says which."""


@dataclass(frozen=True, slots=True)
class LogRow:
    """One update of the log; `time` is in seconds, `line` is its line number in the file."""

    time: float
    user_id: str
    username: str
    points: int
    line: int


@dataclass(frozen=True, slots=True)
class ScoreLog:
    """The rows of a log in order of time, and in words how they were read."""

    rows: list[LogRow]
    read_as: str


def load(path: Path, log_format: LogFormat = AS_WRITTEN, *, speed: float | None = 1.0) -> ScoreLog:
    """The log; rows of equal time keep their order. `speed` is that of the replay, None for as fast as possible.

    Raises `Unreadable`, `BadRow`, and `Undecided` for what can be read in ways that differ at this speed.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise Unreadable("expected a CSV file, got a path that does not exist") from None
    except IsADirectoryError:
        raise Unreadable("expected a CSV file, got a directory") from None
    except OSError as error:
        raise Unreadable(f"the file cannot be read: {(error.strerror or str(error)).lower()}") from None
    text, encoding = decode(data, log_format.encoding)
    log = _parse(text, log_format, speed)
    return ScoreLog(log.rows, f"{encoding}, {log.read_as}")


def read(path: Path, log_format: LogFormat = AS_WRITTEN, *, speed: float | None = 1.0) -> list[LogRow]:
    """The rows of the log in order of time. Raises as `load` does."""
    return load(path, log_format, speed=speed).rows


def parse(text: str, log_format: LogFormat = AS_WRITTEN, *, speed: float | None = 1.0) -> list[LogRow]:
    """The rows of the text in order of time, stable. Raises `BadRow`."""
    return _parse(text, log_format, speed).rows


def _parse(text: str, log_format: LogFormat, speed: float | None) -> ScoreLog:
    table = ScoreTable.of(text, log_format)
    times: list[TimeCell] = []
    scores: list[tuple[str, str, int]] = []
    for cells in table.rows():
        times.append(_time(cells, times))
        scores.append((*_player(cells.user_id, cells.username, cells.line), _points(cells, log_format.decimal)))
    if not times:
        raise BadRow(table.begins + 1, "expected at least one row below the header, got none")
    reading = read_times(times, log_format, separator=table.separator, speed=speed)
    # Sorted before they become floats, which cannot tell apart two moments of the same microsecond.
    found = sorted(zip(reading.seconds, scores, times, strict=True), key=itemgetter(0))
    rows = [LogRow(float(seconds), *score, time.line) for seconds, score, time in found]
    _check_totals(rows)
    return ScoreLog(rows, _read_as(table, reading))


def _read_as(table: ScoreTable, reading: Reading) -> str:
    parts = [f"separator {table.separator_name}", f"times: {reading.meaning}"]
    if table.unused:
        parts.append(f"columns left out: {', '.join(map(shown, table.unused))}")
    if table.blank:
        parts.append(f"blank rows left out: {table.blank}")
    return ", ".join(parts)


def fold(rows: Iterable[LogRow]) -> dict[str, int]:
    """The naive result: user id → sum of points."""
    totals: dict[str, int] = {}
    for row in rows:
        totals[row.user_id] = totals.get(row.user_id, 0) + row.points
    return totals


@dataclass(frozen=True, slots=True)
class Difference:
    """One player whose place on the board differs from the log; `expected` and `came` describe the places."""

    user_id: str
    expected: str
    came: str

    def __str__(self) -> str:
        return f"{self.user_id}: expected {self.expected}, got {self.came}"


def compare(totals: Mapping[str, int], board: Iterable[Mapping[str, Any]]) -> list[Difference]:
    """The players for whom the board (entries of the wire contract, in its order) differs from the totals.

    For each player, score, position and rank must be right. The service may rank ties either way, `1 2 2 4`
    or `1 2 2 3`, but by the same rule on the whole board.
    """
    expected = sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    position = {user_id: place for place, (user_id, _) in enumerate(expected)}
    came = {entry["userId"]: (place, entry) for place, entry in enumerate(board)}
    best: list[Difference] | None = None
    for ranks in _ranks(expected):
        differences: list[Difference] = []
        for user_id, score in expected:
            wanted = (position[user_id], score, ranks[user_id])
            place, entry = came.get(user_id, (None, None))
            got = None if entry is None else (place, entry["score"], entry["rank"])
            if got != wanted:
                differences.append(Difference(user_id, _place(wanted), _place(got)))
        differences += [
            Difference(user_id, _place(None), _place((place, entry["score"], entry["rank"])))
            for user_id, (place, entry) in came.items()
            if user_id not in totals
        ]
        if best is None or len(differences) < len(best):
            best = differences
    assert best is not None
    return best


def _ranks(ordered: list[tuple[str, int]]) -> tuple[dict[str, int], dict[str, int]]:
    """The ranks by both tie rules: competition, dense."""
    competition: dict[str, int] = {}
    dense: dict[str, int] = {}
    for number, (_, tied) in enumerate(groupby(ordered, key=lambda item: item[1]), start=1):
        first = len(competition) + 1
        for user_id, _ in tied:
            competition[user_id] = first
            dense[user_id] = number
    return competition, dense


def _place(place: tuple[int | None, Any, Any] | None) -> str:
    if place is None:
        return "no place"
    position, score, rank = place
    assert position is not None
    return f"score {score}, rank {rank}, place {position + 1}"


def _time(cells: Cells, before: list[TimeCell]) -> TimeCell:
    time = time_cell(cells.line, cells.time)
    if before and time.kind != before[0].kind:
        raise BadRow(cells.line, f"time: expected {before[0].kind} as in the rows before, got {shown(cells.time)}")
    return time


def _player(user_id: str, username: str, line: int) -> tuple[str, str]:
    if not _USER_ID.fullmatch(user_id):
        raise BadRow(line, f"userId: expected 1 to 64 characters from A-Z a-z 0-9 _ . -, got {shown(user_id)}")
    try:
        return user_id, clean_username(username)
    except ValueError as error:
        raise BadRow(line, f"username: {error} in {shown(username)}") from None


def _points(cells: Cells, decimal: str) -> int:
    """The points: an integer, also one with decimals that are zero."""
    text = cells.points.strip()
    value = Decimal(text) if _INTEGER.fullmatch(text) else _with_marks(text, cells.line, decimal)
    if value is None or value != value.to_integral_value() or abs(value) > MAX_POINTS:
        expected = f"expected an integer from {-MAX_POINTS} to {MAX_POINTS}"
        raise BadRow(cells.line, f"points: {expected}, got {shown(cells.points)}")
    return int(value)


def _with_marks(text: str, line: int, decimal: str) -> Decimal | None:
    """The one number that the text can be; None for none."""
    if "e" in text.lower():
        return None  # a spreadsheet's 1E+06 has lost its last digits
    values = {mark: found[0] for mark, found in readings([text], decimal).items()}
    if len(values) > 1:
        choices = [Choice(mark, f"{value.normalize():f}") for mark, value in values.items()]
        raise Undecided(line, f"points: {shown(text)} can be read in several ways", "decimal", choices)
    return next(iter(values.values()), None)


def _check_totals(rows: list[LogRow]) -> None:
    totals: dict[str, int] = {}
    for row in rows:
        total = totals[row.user_id] = totals.get(row.user_id, 0) + row.points
        if abs(total) > MAX_TOTAL:
            raise BadRow(row.line, f"points: expected a total from {-MAX_TOTAL} to {MAX_TOTAL}, got {total}")
