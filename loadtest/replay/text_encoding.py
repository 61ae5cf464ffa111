"""From the bytes of a log to its text: the encoding that its user names, or that its bytes show.

A byte order mark decides. Without one, zero bytes are UTF-16, valid UTF-8 is UTF-8, and other bytes are Windows-1252,
as spreadsheets write it. Bytes that are partly UTF-8 are not guessed at.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

from loadtest.replay.log_format import BadRow, Choice, Undecided

# UTF-32 comes before UTF-16, whose mark its own begins with.
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SHOWN: Final = {"utf-8": "UTF-8", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "cp1252": "Windows-1252"}
_UTF8_CHARACTER: Final = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")


def decode(data: bytes, encoding: str = "") -> tuple[str, str]:
    """The text without its byte order mark, and the encoding's name for people. Raises `BadRow` and `Undecided`."""
    name = encoding or _marked(data) or _unmarked(data)
    try:
        text = data.decode(name)
    except UnicodeDecodeError as error:
        line = data[: error.start].decode(name, "ignore").count("\n") + 1
        byte = f"the byte 0x{data[error.start]:02x}"
        raise BadRow(line, f"expected {_SHOWN.get(name, name)}, got {byte}; --encoding names another") from None
    return text.removeprefix("\ufeff"), _SHOWN.get(name, name)


def _marked(data: bytes) -> str | None:
    return next((name for mark, name in _MARKS if data.startswith(mark)), None)


def _unmarked(data: bytes) -> str:
    if b"\0" in data[:4]:
        # A header begins with ASCII, whose zero byte is the second one of a pair, or the first.
        return "utf-16-le" if data[0] else "utf-16-be"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return _windows(data, error.start)
    return "utf-8"


def _windows(data: bytes, at: int) -> str:
    """Windows-1252, unless other characters are UTF-8: then the log is either a damaged one or names are garbled."""
    if _UTF8_CHARACTER.search(data):
        raise Undecided(
            data.count(b"\n", 0, at) + 1,
            f"expected UTF-8 as in other lines, got the byte 0x{data[at]:02x}",
            "encoding",
            [Choice("cp1252", "Windows-1252; characters that take several bytes in UTF-8 come out as several")],
        )
    return "cp1252"
