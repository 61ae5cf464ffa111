"""An outage of Redis as the game sees it, as pure data.

Law of the file: as in `live_state`, no clock, no asyncio, no widget. Times come in as arguments, all of
one clock, in seconds. Every buffer is bounded.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from enum import IntEnum

MARKS_KEPT = 16  # the moments of four outages
OPEN_KEPT = 20_000  # answers for which a second one may come


class Moment(IntEnum):
    """What a mark on a chart stands for, in the order of one outage."""

    STOP = 0
    NOTICED = 1
    START = 2
    WHOLE = 3

    @property
    def label(self) -> str:
        """Its label on the charts."""
        return ("stop", "noticed", "start", "whole again")[self]

    def height(self, top: float = 0.97) -> float:
        """Height of its label on a chart, `top` for the first: some moments nearly coincide."""
        return top - 0.065 * self


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment of an outage."""

    at: float
    moment: Moment


@dataclass(frozen=True, slots=True)
class Outage:
    """One outage of Redis; what has not happened (yet) is None.

    `alone` scores were answered with `durable:false`; `confirmed` of them have been answered a second time,
    as durable.
    """

    stopped_at: float | None = None
    noticed_at: float | None = None
    started_at: float | None = None
    whole_at: float | None = None
    alone: int = 0
    confirmed: int = 0

    @property
    def noticed_after(self) -> float | None:
        """Seconds from the stop to the first degraded board."""
        return _between(self.stopped_at, self.noticed_at)

    @property
    def whole_after(self) -> float | None:
        """Seconds from the start to the first board that is not degraded."""
        return _between(self.started_at, self.whole_at)


class Outages:
    """Follows the switching of Redis, the boards, and the answers to scores."""

    def __init__(self) -> None:
        self.last = Outage()
        self._degraded = False
        self._marks: deque[Mark] = deque(maxlen=MARKS_KEPT)
        self._open: dict[str, None] = {}  # op ids answered with durable:false, oldest first

    @property
    def marks(self) -> tuple[Mark, ...]:
        """The latest moments, oldest first."""
        return tuple(self._marks)

    def stop(self, at: float) -> None:
        """Note that Redis is asked to stop."""
        before = self._current()
        if before.stopped_at is before.noticed_at is None:
            # A busy machine answered some scores late, and they are durable since: no part of what begins now.
            before = Outage(alone=len(self._open))
        self.last = Outage(stopped_at=at, alone=before.alone, confirmed=before.confirmed)
        self._marks.append(Mark(at, Moment.STOP))

    def start(self, at: float) -> None:
        """Note that Redis is asked to start."""
        self.last = replace(self._current(), started_at=at)
        self._marks.append(Mark(at, Moment.START))

    def board(self, at: float, *, degraded: bool) -> None:
        """Take a board."""
        if degraded == self._degraded:
            return
        self._degraded = degraded
        if degraded:
            self.last = replace(self._current(), noticed_at=at)
            self._marks.append(Mark(at, Moment.NOTICED))
        else:
            self.last = replace(self._current(), whole_at=at)
            self._marks.append(Mark(at, Moment.WHOLE))

    def answer(self, op_id: str, *, durable: bool) -> None:
        """Take an answer to a score, the first or the second.

        Beyond 20,000 open answers the oldest are forgotten; `confirmed` is too low then.
        """
        if durable and op_id in self._open:
            # The second answers of an outage may come after the board that ends it.
            del self._open[op_id]
            self.last = replace(self.last, confirmed=self.last.confirmed + 1)
        elif not durable and op_id not in self._open:
            current = self._current()
            self.last = replace(current, alone=current.alone + 1)
            self._open[op_id] = None
            if len(self._open) > OPEN_KEPT:
                del self._open[next(iter(self._open))]

    def _current(self) -> Outage:
        """The current outage; a new one if the last has ended."""
        if self.last.whole_at is None:
            return self.last
        self._open.clear()
        return Outage()


def _between(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before
