"""Numbers as spreadsheets write them: `10.5` or `10,5`, `1,000` or `1.000`.

A mark that separates decimals in one country groups thousands in another. `10,5` can be read in one way only; `1,500`
in two, and then nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from loadtest.replay.log_format import DECIMALS

_SIGN: Final = r"[+-]?"
_EXPONENT: Final = r"(?:[eE][+-]?[0-9]{1,3})?"
# What may be a number under one reading or another.
MAY_BE_NUMBER: Final = re.compile(rf"{_SIGN}(?=[.,]*[0-9])[0-9.,]+{_EXPONENT}")


def _pattern(point: str, group: str) -> re.Pattern[str]:
    plain = rf"(?:[0-9]+(?:{point}[0-9]*)?|{point}[0-9]+){_EXPONENT}"
    grouped = rf"[1-9][0-9]{{0,2}}(?:{group}[0-9]{{3}})+(?:{point}[0-9]*)?"
    return re.compile(rf"{_SIGN}(?:{plain}|{grouped})")


_PATTERNS: Final = {"point": _pattern(r"\.", ","), "comma": _pattern(",", r"\.")}


def number(text: str, decimal: str) -> Decimal | None:
    """The number, with its decimals after a `point` or a `comma`; None if it is none under this reading."""
    if not _PATTERNS[decimal].fullmatch(text):
        return None
    mark = DECIMALS[decimal]
    return Decimal(text.replace("," if mark == "." else ".", "").replace(mark, "."))


def readings(texts: Iterable[str], decimal: str = "") -> dict[str, list[Decimal]]:
    """Decimal mark → the numbers, for the marks under which all texts are numbers; only `decimal` if it is given.

    Readings that give the same numbers count as one.
    """
    texts = list(texts)
    found: dict[str, list[Decimal]] = {}
    for name in [decimal] if decimal else DECIMALS:
        numbers = [value for text in texts if (value := number(text, name)) is not None]
        if len(numbers) == len(texts) and numbers not in found.values():
            found[name] = numbers
    return found
