"""A score log: who scored how much, and when. A CSV with the header `time,userId,username,points`.

`time` is a number of seconds or an ISO 8601 date and time, the same kind throughout a log (a date and
time without a zone is UTC). Everything that a service would refuse is refused here, with its line number,
before anything is sent.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from service.core.protocol import ID_PATTERN, MAX_POINTS, MAX_TOTAL, clean_username

HEADER: Final = ("time", "userId", "username", "points")
_USER_ID = re.compile(ID_PATTERN)
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


class Unreadable(Exception):
    """The file does not exist or cannot be read; the text says which."""


class BadRow(ValueError):
    """The log is not valid; the text is `line N: what was expected, what came`."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")


@dataclass(frozen=True, slots=True)
class LogRow:
    """One update of the log; `time` is in seconds, `line` is its line number in the file."""

    time: float
    user_id: str
    username: str
    points: int
    line: int


def read(path: Path) -> list[LogRow]:
    """The log in order of time; rows of equal time keep their order. Raises `BadRow` and `Unreadable`."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise Unreadable("expected a CSV file, got a path that does not exist") from None
    except IsADirectoryError:
        raise Unreadable("expected a CSV file, got a directory") from None
    except OSError as error:
        raise Unreadable(f"the file cannot be read: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise BadRow(line, f"expected UTF-8, got the byte 0x{error.object[error.start]:02x}") from None
    return parse(text)


def parse(text: str) -> list[LogRow]:
    """The rows of the text in order of time, stable. Raises `BadRow`."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[LogRow] = []
    kind: str | None = None
    seen_header = False
    line = 1
    try:
        for cells in reader:
            if not seen_header:
                if tuple(cells) != HEADER:
                    raise BadRow(line, f"expected the header {','.join(HEADER)}, got {_shown(','.join(cells))}")
                seen_header = True
            elif cells:
                if len(cells) != len(HEADER):
                    raise BadRow(line, f"expected {len(HEADER)} fields, got {len(cells)}")
                time, this_kind = _time(cells[0], line)
                kind = kind or this_kind
                if this_kind != kind:
                    raise BadRow(line, f"time: expected {kind} as in the rows before, got {_shown(cells[0])}")
                rows.append(LogRow(time, *_player(cells[1], cells[2], line), _points(cells[3], line), line))
            line = reader.line_num + 1
    except csv.Error as error:
        raise BadRow(line, _not_csv(str(error))) from None
    if not seen_header:
        raise BadRow(1, f"expected the header {','.join(HEADER)}, got an empty file")
    if not rows:
        raise BadRow(line, "expected at least one row below the header, got none")
    rows.sort(key=lambda row: row.time)
    _check_totals(rows)
    return rows


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


def _not_csv(error: str) -> str:
    """The `csv` module's error about the row that begins here, in terms of the log's author."""
    # A missing quote swallows everything that follows: to the end of the file, or to the maximum length of a field.
    if error == "unexpected end of data" or "field limit" in error:
        return 'expected a second " that closes the quoted field, got none'
    if "expected after" in error:
        return 'expected a comma or the end of the line after a quoted field, got more text (a " inside is written "")'
    return f"expected CSV, got a text with an error: {error}"


def _time(cell: str, line: int) -> tuple[float, str]:
    if _NUMBER.fullmatch(cell):
        seconds = float(cell)
        if math.isfinite(seconds):
            return seconds, "a number of seconds"
    else:
        try:
            moment = datetime.fromisoformat(cell)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp(), "an ISO 8601 time"
        except (ValueError, OverflowError):
            pass
    raise BadRow(line, f"time: expected seconds or an ISO 8601 time, got {_shown(cell)}")


def _player(user_id: str, username: str, line: int) -> tuple[str, str]:
    if not _USER_ID.fullmatch(user_id):
        raise BadRow(line, f"userId: expected 1 to 64 characters from A-Z a-z 0-9 _ . -, got {_shown(user_id)}")
    try:
        return user_id, clean_username(username)
    except ValueError as error:
        raise BadRow(line, f"username: {error} in {_shown(username)}") from None


def _points(cell: str, line: int) -> int:
    points = int(cell) if _INTEGER.fullmatch(cell) else None
    if points is None or abs(points) > MAX_POINTS:
        raise BadRow(line, f"points: expected an integer from {-MAX_POINTS} to {MAX_POINTS}, got {_shown(cell)}")
    return points


def _check_totals(rows: list[LogRow]) -> None:
    totals: dict[str, int] = {}
    for row in rows:
        total = totals[row.user_id] = totals.get(row.user_id, 0) + row.points
        if abs(total) > MAX_TOTAL:
            raise BadRow(row.line, f"points: expected a total from {-MAX_TOTAL} to {MAX_TOTAL}, got {total}")


def _shown(text: str) -> str:
    """The text, quoted, truncated, with unprintable characters escaped."""
    return ascii(text if len(text) <= 60 else text[:60] + "...")
