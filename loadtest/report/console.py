"""What a command prints, on any stdout and stderr: of any encoding, on a full disk, into a pipe without a reader.

The figures arrive in every encoding: a sign that the encoding lacks is written as the ASCII that looks like it.
"""

from __future__ import annotations

import codecs
import io
import os
import shutil
import sys
from types import TracebackType
from typing import Final, TextIO

LOOK_ALIKES: Final = {
    "━": "=", "─": "-", "–": "-", "—": "-", "→": "->", "×": "x", "…": "...", "≥": ">=", "≤": "<=", "−": "-", "µ": "u",
}  # fmt: skip
_ERRORS: Final = "loadtest-look-alike"


def make_printable() -> None:
    """Let stdout and stderr take every text."""
    codecs.register_error(_ERRORS, _look_alike)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


def end_quietly_on_interrupt() -> None:
    """From now on an unhandled Ctrl-C ends this process by SIGINT, 130 in a shell, as always, but prints nothing."""
    sys.excepthook = _tell_unless_interrupted


def tell(text: str) -> None:
    """Write a line or a page to stdout; where that cannot be written, to stderr: a verdict has to be seen."""
    page = text.removesuffix("\n")
    if not _written(sys.stdout, page + "\n"):
        say(page)


def say(line: str) -> None:
    """Write a line to stderr, if it can be written."""
    _written(sys.stderr, line + "\n")


def rewrites_lines() -> bool:
    """Whether stderr is a terminal that can take a line back."""
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def rewrite(line: str, *, end: str = "") -> None:
    """Write the line to stderr in place of the one before; whole, if the next one does not take its place."""
    width = shutil.get_terminal_size().columns - 1  # a longer one would take two
    _written(sys.stderr, f"\r\x1b[K{line if end else line[:width]}{end}")


def _written(stream: TextIO, text: str) -> bool:
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        # What is buffered would fail again when Python ends, and change the exit status.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return False
    return True


def _tell_unless_interrupted(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if kind is not KeyboardInterrupt:
        sys.__excepthook__(kind, error, trace)


def _look_alike(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    signs = error.object[error.start : error.end]
    escaped = (LOOK_ALIKES.get(sign) or sign.encode("ascii", "backslashreplace").decode() for sign in signs)
    return "".join(escaped), error.end
