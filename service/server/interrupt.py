"""Ctrl-C before a command serves: an end, and no error."""

from __future__ import annotations

import sys
from types import TracebackType


def end_quietly_on_interrupt() -> None:
    """From now on an unhandled Ctrl-C ends this process by SIGINT, 130 in a shell, as always, but prints nothing.

    To be called before slow imports, so this module has none.
    """
    sys.excepthook = _tell


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if kind is not KeyboardInterrupt:
        sys.__excepthook__(kind, error, trace)
