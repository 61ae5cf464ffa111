"""Dates and times as text, each in seconds: since 1970 for a date, since the clock began for a time without one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

DAY: Final = 86_400
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK_PATTERN: Final = r"([0-9]{1,4}):([0-9]{2})(?::([0-9]{2}))?(?:[.,]([0-9]{1,9}))?(?:\s?([AP])\.?M\.?)?"
CLOCK_TEXT: Final = re.compile(_CLOCK_PATTERN, re.IGNORECASE)
DATE_TEXT: Final = re.compile(
    rf"([0-9]{{1,4}})([./-])([0-9]{{1,2}})\2([0-9]{{1,4}})(?:(?:T|,?\s+)({_CLOCK_PATTERN}))?", re.IGNORECASE
)
# 10.05.30 may be a date or, in Finland, a time.
DOTTED_TEXT: Final = re.compile(r"[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{1,2}")
COMPACT_UNITS: Final = {"YYYYMMDD": (8, "%Y%m%d"), "YYYYMMDDhhmmss": (14, "%Y%m%d%H%M%S")}


def is_iso(text: str) -> bool:
    """Whether the text is an ISO 8601 time; eight digits are a number, too, and count as one."""
    try:
        return not text.isdigit() and iso_seconds(text) is not None
    except (ValueError, OverflowError):
        return False


def iso_seconds(text: str) -> Decimal:
    """Seconds since 1970; without a zone, UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return _since_epoch(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def compact_seconds(number: Decimal, unit: str) -> Decimal | None:
    """Seconds since 1970, if the number is a date written without separators, of the years 1900 to 2199."""
    digits, pattern = COMPACT_UNITS[unit]
    text = str(int(number))
    if number != int(number) or len(text) != digits or not "1900" <= text[:4] < "2200":
        return None
    try:
        return _since_epoch(datetime.strptime(text, pattern).replace(tzinfo=UTC))
    except ValueError:
        return None


def _since_epoch(moment: datetime) -> Decimal:
    return Decimal((moment - _EPOCH) // timedelta(microseconds=1)) / 10**6


def date_seconds(text: str, order: str) -> Decimal | None:
    """Seconds since 1970, if the text is a date in this order; a year has four digits or two."""
    found = DATE_TEXT.fullmatch(text)
    assert found is not None
    parts = dict(zip(order, (found[1], found[3], found[4]), strict=True))
    if len(parts["y"]) not in {2, 4} or max(len(parts["d"]), len(parts["m"])) > 2:
        return None
    year = int(parts["y"]) + (2000 if len(parts["y"]) == 2 else 0)
    try:
        day = datetime(year, int(parts["m"]), int(parts["d"]), tzinfo=UTC)
    except ValueError:
        return None
    clock = Decimal(0) if found[5] is None else clock_seconds(found[5], "hh:mm:ss")
    return None if clock is None or clock >= DAY else _since_epoch(day) + clock


def onward(seconds: Sequence[Decimal], turn: int) -> list[Decimal]:
    """Add a turn of the clock where the time falls by more than half of one, and take it off where it jumps back."""
    turns, before, found = 0, seconds[0], []
    for second in seconds:
        if before - second > turn / 2:
            turns += 1
        elif second - before > turn / 2 and turns:
            turns -= 1
        found.append(second + turns * turn)
        before = second
    return found


def clock_seconds(text: str, unit: str) -> Decimal | None:
    """Seconds since the clock began; None for a time that does not exist in this unit."""
    found = CLOCK_TEXT.fullmatch(text)
    assert found is not None
    first, second, third = int(found[1]), int(found[2]), int(found[3] or 0)
    if found[5]:
        if not 1 <= first <= 12 or unit == "mm:ss":
            return None
        first = first % 12 + (12 if found[5].upper() == "P" else 0)
    if max(second, third) >= 60 or (found[4] and not found[3] and unit != "mm:ss"):
        return None
    whole = first * 60 + second if unit == "mm:ss" else first * 3600 + second * 60 + third
    return whole + Decimal(f"0.{found[4] or 0}")
