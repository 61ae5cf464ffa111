"""What a Redis that goes and comes back does to the game, as pure data.

Law of the file: as in `state`, no clock, no asyncio, no widget. Times come in as arguments, all of
one clock, in seconds. Every buffer is bounded.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from enum import IntEnum

MARKS_KEPT = 16  # the moments of four outages
OPEN_KEPT = 20_000  # answers that may still be followed by a second one


class Moment(IntEnum):
    """What a mark on a chart stands for, in the order in which the moments of one outage come."""

    STOP = 0
    NOTICED = 1
    START = 2
    WHOLE = 3

    @property
    def label(self) -> str:
        """As it stands on the charts."""
        return ("stop", "noticed", "start", "whole again")[self]

    def height(self, top: float = 0.97) -> float:
        """How far up a chart its label stands, `top` for the first: some moments nearly coincide."""
        return top - 0.065 * self


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment of an outage."""

    at: float
    moment: Moment


@dataclass(frozen=True, slots=True)
class Outage:
    """One absence of Redis; what has not happened (yet) is None.

    `alone` scores were answered with `durable:false`, and `confirmed` of them were answered a second
    time, as durable.
    """

    stopped_at: float | None = None
    noticed_at: float | None = None
    started_at: float | None = None
    whole_at: float | None = None
    alone: int = 0
    confirmed: int = 0

    @property
    def noticed_after(self) -> float | None:
        """Seconds from the stop to the first board that says degraded."""
        return _between(self.stopped_at, self.noticed_at)

    @property
    def whole_after(self) -> float | None:
        """Seconds from the start to the first board that no longer says so."""
        return _between(self.started_at, self.whole_at)


class Outages:
    """Follows Redis being switched, what the boards say, and how scores are answered."""

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
        """Redis is asked to stop."""
        before = self._present()
        self.last = Outage(stopped_at=at, alone=before.alone, confirmed=before.confirmed)
        self._marks.append(Mark(at, Moment.STOP))

    def start(self, at: float) -> None:
        """Redis is asked to start."""
        self.last = replace(self._present(), started_at=at)
        self._marks.append(Mark(at, Moment.START))

    def board(self, at: float, *, degraded: bool) -> None:
        """A board arrived."""
        if degraded == self._degraded:
            return
        self._degraded = degraded
        if degraded:
            self.last = replace(self._present(), noticed_at=at)
            self._marks.append(Mark(at, Moment.NOTICED))
        else:
            self.last = replace(self._present(), whole_at=at)
            self._marks.append(Mark(at, Moment.WHOLE))

    def answer(self, op_id: str, *, durable: bool) -> None:
        """A score was answered, for the first time or the second.

        Of more than 20,000 open answers the oldest are forgotten: `confirmed` falls short then.
        """
        if durable and op_id in self._open:
            # The second answers of an outage may come behind the board that ends it.
            del self._open[op_id]
            self.last = replace(self.last, confirmed=self.last.confirmed + 1)
        elif not durable and op_id not in self._open:
            present = self._present()
            self.last = replace(present, alone=present.alone + 1)
            self._open[op_id] = None
            if len(self._open) > OPEN_KEPT:
                del self._open[next(iter(self._open))]

    def _present(self) -> Outage:
        """The outage that goes on; a new one after the last has ended, also where nobody asked for it."""
        if self.last.whole_at is None:
            return self.last
        self._open.clear()
        return Outage()


def _between(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before
