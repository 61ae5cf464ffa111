"""How a score log is to be read, as far as its user says it; the rest is seen in the log itself.

A `LogFormat` is what the options say, and an empty field means: look at the log. Where the log allows two readings
that differ, reading stops with `Undecided`, which names the option that decides. Nothing is guessed.
"""

from __future__ import annotations

import argparse
import codecs
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

COLUMNS: Final = ("time", "userId", "username", "points")
SEPARATORS: Final = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
DECIMALS: Final = {"point": ".", "comma": ","}
DATE_ORDERS: Final = {"dmy": "day, month, year", "mdy": "month, day, year", "ymd": "year, month, day"}
NUMBER_UNITS: Final = {
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "YYYYMMDD": "dates written YYYYMMDD",
    "YYYYMMDDhhmmss": "dates and times written YYYYMMDDhhmmss",
    "excel-days": "days, as a spreadsheet counts them",
}
CLOCK_UNITS: Final = {
    "hh:mm:ss": "hours, minutes and seconds",
    "hh:mm": "hours and minutes",
    "mm:ss": "minutes and seconds",
    "hh:mm:ss-onward": "hours, minutes and seconds, and the next day begins where they fall",
    "hh:mm-onward": "hours and minutes, and the next day begins where they fall",
    "mm:ss-onward": "minutes and seconds, and the next hour begins where they fall",
}
TIME_UNITS: Final = NUMBER_UNITS | CLOCK_UNITS

HELP: Final = {
    "separator": f"what separates the columns of the log: {', '.join(SEPARATORS)} (default: seen in its header)",
    "encoding": "encoding of the log, like utf-8 or cp1252 (default: seen in its bytes)",
    "columns": "names of the log's columns if they differ, like time=Zeit,points=Punkte; #3 is the third column",
    "time_unit": f"what the log's times are: {', '.join(TIME_UNITS)} (default: seen in the log)",
    "date_order": "order of the dates in the log: dmy for 31/12/2026, mdy for 12/31/2026, or ymd",
    "decimal": "what separates the decimals in the log's numbers, point or comma (default: seen in the log)",
}
_METAVARS: Final = {"columns": "COLUMN=NAME", "time_unit": "UNIT", "date_order": "ORDER", "decimal": "MARK"}
_CHOICES: Final[Mapping[str, Iterable[str]]] = {
    "separator": SEPARATORS, "time_unit": TIME_UNITS, "date_order": DATE_ORDERS, "decimal": DECIMALS,
}  # fmt: skip


class BadRow(ValueError):
    """The log is not valid; the text is `line N: what was expected, what came`."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to read the log: the value of the option, and what it makes of the log."""

    value: str
    meaning: str


class Undecided(BadRow):
    """The log can be read in several ways; `field` of `LogFormat`, an option, decides between the `choices`."""

    def __init__(self, line: int, message: str, field: str, choices: Iterable[Choice]) -> None:
        self.question = f"line {line}: {message}"
        self.field = field
        self.choices = tuple(choices)
        listed = " or ".join(f"{option(field)} {one.value} ({one.meaning})" for one in self.choices)
        super().__init__(line, f"{message}; use {listed}")


def option(field: str) -> str:
    """The name of the field's option."""
    return f"--{field.replace('_', '-')}"


@dataclass(frozen=True, slots=True)
class LogFormat:
    """What the options say about a log. Raises ValueError for a value that does not exist."""

    separator: str = ""
    encoding: str = ""
    columns: str = ""
    time_unit: str = ""
    date_order: str = ""
    decimal: str = ""

    def __post_init__(self) -> None:
        for field, choices in _CHOICES.items():
            given = getattr(self, field)
            if given and given not in choices:
                raise ValueError(f"{option(field)}: expected one of {', '.join(choices)}, got {given}")
        if self.encoding:
            _check_encoding(self.encoding)
        self.column_names()

    @classmethod
    def of(cls, owner: Any) -> Self:
        """The format from an object that has its fields as attributes, such as parsed options."""
        return cls(**{one.name: getattr(owner, one.name) for one in fields(cls)})

    def column_names(self) -> dict[str, str]:
        """Column of a score log → its name in this one, for those that were named."""
        names: dict[str, str] = {}
        # A name may contain a comma, so only a comma before another column's name separates.
        for part in re.split(rf",(?=\s*(?:{'|'.join(COLUMNS)})=)", self.columns) if self.columns else ():
            column, _, name = (text.strip() for text in part.partition("="))
            if column not in COLUMNS or not name or column in names:
                raise ValueError(
                    f"--columns: expected each of {', '.join(COLUMNS)} at most once, as in time=Zeit,points=Punkte, "
                    f"got {self.columns}"
                )
            names[column] = name
        return names


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each field of `LogFormat`."""
    group = parser.add_argument_group("how the log is written, where it does not show")
    for field, text in HELP.items():
        group.add_argument(option(field), default="", metavar=_METAVARS.get(field, "NAME"), help=text)


def _check_encoding(name: str) -> None:
    try:
        "".encode(name)
        codecs.lookup(name)
    except (LookupError, ValueError):
        raise ValueError(f"--encoding: expected a text encoding, like utf-8 or cp1252, got {name}") from None


def shown(text: str) -> str:
    """The text as an error names it: quoted, truncated, with unprintable characters escaped."""
    return ascii(text if len(text) <= 60 else text[:60] + "...")
