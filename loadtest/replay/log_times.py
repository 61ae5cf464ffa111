"""The times of a log in seconds: numbers, ISO 8601, `hh:mm:ss`, or dates in the order of a country.

A column is of one kind. Each way to read the whole column that makes sense is a `Reading`; if they give the log the
same pace, the first is taken, and if not, `Undecided` asks which. So a log of one evening needs no order of day and
month, and numbers that may be milliseconds are not played as seconds for hours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, NamedTuple

from loadtest.replay import decimal_mark
from loadtest.replay.clock_and_date import (
    CLOCK_TEXT,
    COMPACT_UNITS,
    DATE_TEXT,
    DAY,
    DOTTED_TEXT,
    clock_seconds,
    compact_seconds,
    date_seconds,
    is_iso,
    iso_seconds,
    onward,
)
from loadtest.replay.log_format import (
    CLOCK_UNITS,
    DATE_ORDERS,
    DECIMALS,
    NUMBER_UNITS,
    TIME_UNITS,
    BadRow,
    Choice,
    LogFormat,
    Undecided,
    shown,
)

NUMBER: Final = "a number of seconds"
ISO: Final = "an ISO 8601 time"
DATE: Final = "a date"
CLOCK: Final = "a time hh:mm:ss"
SHORT_CLOCK: Final = "a time with one colon"

HOURS: Final = 3600  # a log of whole numbers that would last so many seconds may be one of milliseconds
_PER_SECOND: Final = {"s": 1, "ms": 1000, "us": 10**6, "ns": 10**9}


class TimeCell(NamedTuple):
    """The text of a time, its kind, and the line of its row."""

    line: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read all times of a log, the option's value for it, and the seconds that come of it."""

    value: str
    meaning: str
    seconds: list[Decimal]

    def pace(self, speed: float | None) -> object:
        """What the replay sees of it: the time of each row since the first; at full speed (None) their order."""
        if speed is None:
            return sorted(range(len(self.seconds)), key=self.seconds.__getitem__)
        return [second - self.seconds[0] for second in self.seconds]

    def lasts(self) -> Decimal:
        return max(self.seconds) - min(self.seconds)


def time_cell(line: int, text: str) -> TimeCell:
    """The time with its kind. Raises `BadRow` for one of no kind."""
    text = text.strip()
    if is_iso(text):
        return TimeCell(line, ISO, text)
    if DATE_TEXT.fullmatch(text) and not DOTTED_TEXT.fullmatch(text):
        return TimeCell(line, DATE, text)
    if decimal_mark.MAY_BE_NUMBER.fullmatch(text):
        return TimeCell(line, NUMBER, text)
    if clock := CLOCK_TEXT.fullmatch(text):
        return TimeCell(line, CLOCK if clock[3] else SHORT_CLOCK, text)
    raise _no_time(TimeCell(line, "", text))


def read_times(
    cells: Sequence[TimeCell], log_format: LogFormat, *, separator: str = ",", speed: float | None = 1.0
) -> Reading:
    """The one way to read the times of a log, at least one. Raises `BadRow` and `Undecided`."""
    kind = cells[0].kind
    expected = _expected_kinds(log_format)
    if expected and kind not in expected:
        name = log_format.time_unit or log_format.date_order
        raise BadRow(cells[0].line, f"time: expected {(TIME_UNITS | DATE_ORDERS)[name]}, got {shown(cells[0].text)}")
    if kind == NUMBER:
        return _numbers(cells, log_format, separator, speed)
    if kind == DATE:
        return _chosen(_dates(cells, log_format.date_order), cells, "date_order", speed)
    if kind == ISO:
        return Reading("", "ISO 8601", [iso_seconds(cell.text) for cell in cells])
    return _chosen(_clocks(cells, log_format.time_unit), cells, "time_unit", speed)


def _expected_kinds(log_format: LogFormat) -> tuple[str, ...]:
    """The kinds of times that the options speak of."""
    if log_format.time_unit in NUMBER_UNITS:
        return (NUMBER,)
    if log_format.time_unit in CLOCK_UNITS:
        return (CLOCK,) if "hh:mm:ss" in log_format.time_unit else (SHORT_CLOCK,)
    return (DATE,) if log_format.date_order else ()


def _chosen(readings: Sequence[Reading], cells: Sequence[TimeCell], field: str, speed: float | None) -> Reading:
    """The first reading, if all have its pace. Raises `Undecided` otherwise."""
    first = readings[0]
    if all(other.pace(speed) == first.pace(speed) for other in readings[1:]):
        meanings = " or ".join(one.meaning for one in readings)
        return first if len(readings) == 1 else replace(first, meaning=f"{meanings}, which makes no difference")
    choices = [Choice(one.value, _choice_text(one, speed)) for one in readings]
    raise Undecided(cells[0].line, f"time: {shown(cells[0].text)} can be read in several ways", field, choices)


def _choice_text(reading: Reading, speed: float | None) -> str:
    return f"{reading.meaning}: the log lasts {_duration(float(reading.lasts()))}" if speed else reading.meaning


def _duration(seconds: float) -> str:
    for size, unit in ((DAY, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}" if seconds < 1000 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds:.3g} s"


# Numbers


def _numbers(cells: Sequence[TimeCell], log_format: LogFormat, separator: str, speed: float | None) -> Reading:
    written = _as_written(cells, log_format.decimal, separator, speed)
    _check_digits(cells, written.seconds)
    units = [log_format.time_unit] if log_format.time_unit else _likely_units(written.seconds, speed)
    in_unit = _chosen([_in_unit(unit, cells, written.seconds) for unit in units], cells, "time_unit", speed)
    return replace(in_unit, meaning=f"{in_unit.meaning}, decimal comma") if written.value == "comma" else in_unit


def _as_written(cells: Sequence[TimeCell], decimal: str, separator: str, speed: float | None) -> Reading:
    """The numbers, as if they were seconds; the reading's value is the decimal mark."""
    texts = [cell.text for cell in cells]
    if not decimal and separator == "," and not any("," in text for text in texts):
        decimal = "point"  # as a score log is documented, and as it is written where a comma separates columns
    found = decimal_mark.readings(texts, decimal)
    if not found:
        raise _no_time(_first_unreadable(cells, decimal))
    return _chosen([Reading(mark, f"a decimal {mark}", found[mark]) for mark in found], cells, "decimal", speed)


def _first_unreadable(cells: Sequence[TimeCell], decimal: str) -> TimeCell:
    """The first time that is no number under the marks under which those before it are."""
    marks = [decimal] if decimal else list(DECIMALS)
    for cell in cells:
        marks = [mark for mark in marks if decimal_mark.number(cell.text, mark) is not None]
        if not marks:
            return cell
    raise AssertionError("all times are numbers")


def _check_digits(cells: Sequence[TimeCell], numbers: Sequence[Decimal]) -> None:
    for cell, number in zip(cells, numbers, strict=True):
        if not math.isfinite(float(number)):
            raise _no_time(cell)
        if "e" in cell.text.lower() and abs(number) >= 10**9:
            raise BadRow(
                cell.line,
                f"time: expected all digits, got {shown(cell.text)}, which a spreadsheet has rounded; "
                "show the column as a number without exponent",
            )


def _likely_units(numbers: Sequence[Decimal], speed: float | None) -> Iterator[str]:
    """Seconds, and what else the numbers look like."""
    yield "s"
    whole = all(number == int(number) for number in numbers)
    low, high = min(numbers), max(numbers)
    for unit in COMPACT_UNITS:
        if whole and all(compact_seconds(number, unit) is not None for number in numbers):
            yield unit
            return
    # Unix times of 1980 to 2100: ten digits in seconds, thirteen in milliseconds, and so on.
    since_1970 = next(
        (unit for unit, each in _PER_SECOND.items() if 3 * 10**8 * each <= low <= high <= 4 * 10**9 * each), ""
    )
    if since_1970 not in {"", "s"}:
        yield since_1970
    elif not since_1970 and whole and speed and float(high - low) / speed >= HOURS:
        yield "ms"
    if 20_000 <= low <= high <= 80_000 or (0 <= low <= high < 1 and any(_places(number) >= 5 for number in numbers)):
        yield "excel-days"


def _places(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def _in_unit(unit: str, cells: Sequence[TimeCell], numbers: Sequence[Decimal]) -> Reading:
    return Reading(unit, TIME_UNITS[unit], [_seconds(*one, unit) for one in zip(cells, numbers, strict=True)])


def _seconds(cell: TimeCell, number: Decimal, unit: str) -> Decimal:
    if unit in _PER_SECOND:
        return number / _PER_SECOND[unit]
    if unit == "excel-days":
        return number * DAY
    if (seconds := compact_seconds(number, unit)) is None:
        raise BadRow(cell.line, f"time: expected {TIME_UNITS[unit]}, got {shown(cell.text)}")
    return seconds


# ISO 8601, and dates in other orders


def _dates(cells: Sequence[TimeCell], given: str) -> list[Reading]:
    """The orders of day, month and year in which all dates exist. Raises `BadRow` if there is none."""
    orders = [given] if given else list(DATE_ORDERS)
    for cell in cells:
        wanted = " or ".join(DATE_ORDERS[order] for order in orders)
        orders = [order for order in orders if date_seconds(cell.text, order) is not None]
        if not orders:
            raise BadRow(cell.line, f"time: expected a date in the order {wanted}, got {shown(cell.text)}")
    return [Reading(order, f"dates in the order {DATE_ORDERS[order]}", _dates_in(order, cells)) for order in orders]


def _dates_in(order: str, cells: Sequence[TimeCell]) -> list[Decimal]:
    return [second for cell in cells if (second := date_seconds(cell.text, order)) is not None]


# Times without a date


def _clocks(cells: Sequence[TimeCell], given: str) -> list[Reading]:
    """The units in which all times exist. Raises `BadRow` if there is none."""
    units = ["hh:mm:ss"] if cells[0].kind == CLOCK else ["hh:mm", "mm:ss"]
    readings = [
        reading for unit in units if given in {"", unit, f"{unit}-onward"} for reading in _clock(cells, unit, given)
    ]
    if not readings:
        expected = given or " or ".join(units)
        bad = next((cell for cell in cells if not _clock_exists(cell, units)), cells[0])
        raise BadRow(bad.line, f"time: expected {expected}, got {shown(bad.text)}")
    return readings


def _clock_exists(cell: TimeCell, units: Iterable[str]) -> bool:
    return any(clock_seconds(cell.text, unit) is not None for unit in units)


def _clock(cells: Sequence[TimeCell], unit: str, given: str) -> Iterator[Reading]:
    """The times as they stand, and if they fall by more than half a turn, also with a new day, or hour, from there."""
    found = [second for cell in cells if (second := clock_seconds(cell.text, unit)) is not None]
    if len(found) < len(cells):
        return
    turned = onward(found, 3600 if unit == "mm:ss" else DAY)
    in_order = f"{unit}-onward"
    if given != in_order:
        yield Reading(unit, TIME_UNITS[unit], found)
    if given == in_order or (not given and turned != found):
        yield Reading(in_order, TIME_UNITS[in_order], turned)


def _no_time(cell: TimeCell) -> BadRow:
    return BadRow(cell.line, f"time: expected seconds or an ISO 8601 time, got {shown(cell.text)}")
