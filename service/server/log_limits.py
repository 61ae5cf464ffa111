"""Keeps clients from filling a log: of each kind one line a second, of all loggers that a client can make write.

A client must not be able to cause a traceback at all; a fault that nobody thought of costs a line a second, not a disk.
The next line of a kind says how many were left out.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from websockets.exceptions import InvalidState

EVERY: Final = 1.0  # seconds between two lines of a kind
MOST_KINDS: Final = 500  # after that, all new ones are one kind
OURS: Final = "leaderboard"
OTHERS: Final = ("uvicorn.error", "uvicorn.access", "asyncio", "websockets.server", "websockets.protocol")
# uvicorn logs a traceback for each frame that is not UTF-8, which its close code, 1007, says; and it takes a handshake
# that the app answered with a status for one that the app forgot.
NOISE: Final = ("Invalid UTF-8 sequence received", "ASGI callable returned without completing handshake")
_VARYING = re.compile(r"0x[0-9a-f]+|\d+|<.*")

Kind = tuple[object, ...]


@dataclass(slots=True)
class _Kind:
    said_at: float
    left_out: int = 0


class LineLimit(logging.Filter):
    """Lets one record of a kind pass in a second; what is no client's doing, the lines of a start, always."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._kinds: dict[Kind, _Kind] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        # A close frame behind what is no UTF-8, where uvicorn's own class answers a connection that is closed.
        is_closed = isinstance(_error(record), InvalidState)
        if is_closed or str(record.msg).startswith(NOISE):
            return False
        if record.name == OURS and not record.exc_info:
            return True
        kind, now = self._kind(record), self._clock()
        if kind is None:
            self._kinds[kind_of(record)] = _Kind(now)
            return True
        if now - kind.said_at < EVERY:
            kind.left_out += 1
            return False
        _say_how_many(record, kind.left_out)
        kind.said_at, kind.left_out = now, 0
        return True

    def _kind(self, record: logging.LogRecord) -> _Kind | None:
        known = self._kinds.get(kind_of(record))
        if known is None and len(self._kinds) >= MOST_KINDS:
            return self._kinds.setdefault((), _Kind(self._clock() - EVERY))
        return known


def kind_of(record: logging.LogRecord) -> Kind:
    """What makes two records the same to whoever reads the log: nothing in it is of a client's choice."""
    event = getattr(record, "event", None)
    if event is not None:
        return record.name, event, getattr(record, "code", None)
    if record.name == "uvicorn.access" and isinstance(record.args, tuple):
        return record.name, record.args[-1]  # the status
    return record.name, _VARYING.sub("", str(record.msg).partition("\n")[0]), type(_error(record))


def _error(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _say_how_many(record: logging.LogRecord, left_out: int) -> None:
    if not left_out:
        return
    record.suppressed = left_out
    if record.name != "uvicorn.access":  # its formatter reads the arguments
        record.msg, record.args = f"{record.getMessage()} (and {left_out} more since the last such line)", ()


@contextmanager
def limited_lines() -> Iterator[None]:
    """Limit the lines of our loggers, and of those that a client can reach, however the log was set up."""
    limit = LineLimit()
    ours = [name for name in logging.root.manager.loggerDict if name == OURS or name.startswith(f"{OURS}.")]
    loggers = [logging.getLogger(name) for name in (*OTHERS, *ours)]
    for logger in loggers:
        logger.addFilter(limit)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(limit)
