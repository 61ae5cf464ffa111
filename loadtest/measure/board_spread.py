"""The distinct boards that a process received, and when each reached its first and last receiver."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

SETTLED: Final = 2.0  # seconds after which a board has reached every receiver that it will reach

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NO_INTS: Final[Ints] = np.empty(0, np.int64)
NO_FLOATS: Final[Floats] = np.empty(0)


@dataclass(frozen=True, slots=True)
class BoardHead:
    """What a board says of itself before its rows; times in Unix milliseconds, as on the wire."""

    version: int
    updates: int
    epoch: str
    sent_at: float
    oldest_at: float | None


class Arrivals(NamedTuple):
    """When a board had come to its first and to its last receiver, and how early each can have been.

    How early a receiver had it may be unknown: then its `earliest` is 0.
    """

    first: float
    last: float
    first_earliest: float
    last_earliest: float

    def merge(self, other: Arrivals) -> Arrivals:
        """Those of both."""
        return Arrivals(
            min(self.first, other.first), max(self.last, other.last),
            min(self.first_earliest, other.first_earliest), max(self.last_earliest, other.last_earliest),
        )  # fmt: skip

    @property
    def skew(self) -> float:
        """At most so many seconds lay between first and last; infinite if that is unknown."""
        return self.last - self.first_earliest if self.first_earliest else math.inf

    @property
    def skew_lower(self) -> float:
        """At least so many."""
        return max(self.last_earliest - self.first, 0.0)


class CompleteBoard(NamedTuple):
    """A board that has reached all its receivers; arrivals on the ledger's clock, `inside` in seconds or NaN."""

    arrivals: Arrivals
    updates: int
    inside: float


class BoardTable:
    """One row per distinct board. Boards are numbered from 0; old rows are dropped, numbers stay valid."""

    def __init__(self) -> None:
        self._version = array("q")
        self._floor = array("q")
        self._epoch = array("q")
        self._updates = array("q")
        self._inside = array("d")
        self._dropped = 0  # rows that were dropped: the board with this number is row 0
        self._arrivals: dict[int, Arrivals] = {}  # by board

    def __len__(self) -> int:
        """How many rows are kept."""
        return len(self._version)

    def add(self, head: BoardHead, epoch: int) -> int:
        """Add a board of the epoch with this number; returns the board's number."""
        self._version.append(head.version)
        self._floor.append(head.version - head.updates if head.updates else 0)
        self._epoch.append(epoch)
        self._updates.append(head.updates)
        self._inside.append(math.nan if head.oldest_at is None else (head.sent_at - head.oldest_at) / 1000)
        return self._dropped + len(self._version) - 1

    def look_up(self, board: Ints) -> tuple[Ints, Ints, Ints]:
        """Version, epoch and floor of each of these boards."""
        row = board - self._dropped
        version, epoch, floor = (np.array(one, np.int64)[row] for one in (self._version, self._epoch, self._floor))
        return version, epoch, floor

    def note_arrivals(self, board: Ints, time: Floats, earliest: Floats) -> None:
        """Widen each board's span of arrivals by these receipts."""
        order = np.argsort(board, kind="stable")
        board, time, earliest = board[order], time[order], earliest[order]
        starts = np.flatnonzero(np.append(True, board[1:] != board[:-1]))
        spans = (
            least_or_most.reduceat(column, starts).tolist()
            for column in (time, earliest)
            for least_or_most in (np.minimum, np.maximum)
        )
        for number, first, last, first_earliest, last_earliest in zip(board[starts].tolist(), *spans, strict=True):
            new, before = Arrivals(first, last, first_earliest, last_earliest), self._arrivals.get(number)
            self._arrivals[number] = new if before is None else before.merge(new)

    def take_complete(self, before: float) -> list[CompleteBoard]:
        """Remove and return the boards whose first arrival was before this time."""
        done = [number for number, arrivals in self._arrivals.items() if arrivals.first < before]
        return [self._complete(number) for number in done]

    def _complete(self, number: int) -> CompleteBoard:
        row = number - self._dropped
        return CompleteBoard(self._arrivals.pop(number), self._updates[row], self._inside[row])

    def forget(self) -> None:
        """Drop the rows that no receiver can log any more."""
        # A board's row is needed until the last receiver has logged it; sockets lag by seconds, not by minutes.
        oldest = min(self._arrivals, default=self._dropped + len(self._version))
        drop = min(oldest, self._dropped + len(self._version)) - self._dropped
        keep_from = max(drop - 4096, 0)
        if keep_from > 4096:
            for column in (self._version, self._floor, self._epoch, self._updates):
                del column[:keep_from]
            del self._inside[:keep_from]
            self._dropped += keep_from
