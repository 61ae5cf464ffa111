"""The log of receipts: which receiver got which board when, and the part of it that pairs may still need."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from loadtest.measure.board_spread import NO_FLOATS, NO_INTS, Floats, Ints


class Receipts(NamedTuple):
    """Receipts in the order of their arrival, with what their boards say; one row each.

    A board had arrived by `time`, and not before `earliest`.
    """

    receiver: Ints
    version: Ints
    epoch: Ints
    time: Floats
    earliest: Floats


class Taken(NamedTuple):
    """Receipts as they were logged, one row each; times by the clock of the stamps."""

    receiver: Ints
    board: Ints
    time: Floats
    earliest: Floats
    read: Floats


class ReceiptColumns(NamedTuple):
    """What is done for each receipt: one call of each, in any order."""

    receiver: Callable[[int], None]
    board: Callable[[int], None]
    time: Callable[[float], None]
    earliest: Callable[[float], None]
    read: Callable[[float], None]


class ReceiptLog:
    """Five columns that grow by one row per receipt, and the receipts taken from them that were kept."""

    def __init__(self) -> None:
        self._taken = 0
        self._receiver = array("q")
        self._board = array("q")
        self._time = array("d")
        self._earliest = array("d")
        self._read = array("d")
        self._kept: list[tuple[float, Receipts]] = []  # with the latest time of each lot

    def __len__(self) -> int:
        """How many receipts there were so far, whether they are kept or not."""
        return self._taken + len(self._receiver)

    @property
    def waiting(self) -> int:
        """How many have not been taken."""
        return len(self._receiver)

    @property
    def append(self) -> ReceiptColumns:
        """Append a receipt to the columns."""
        return ReceiptColumns(
            self._receiver.append, self._board.append, self._time.append, self._earliest.append, self._read.append
        )

    def take(self) -> Taken:
        """Empty the columns; returns the receipts since the last call."""
        taken = Taken(
            np.array(self._receiver, np.int64), np.array(self._board, np.int64),
            *(np.array(column, np.float64) for column in (self._time, self._earliest, self._read)),
        )  # fmt: skip
        for column in (self._receiver, self._board, self._time, self._earliest, self._read):
            del column[:]
        self._taken += len(taken.receiver)
        return taken

    def keep(self, receipts: Receipts) -> None:
        """Remember these, at least one, until `forget`."""
        self._kept.append((float(receipts.time.max()), receipts))

    def kept_since(self, earliest: float) -> Receipts:
        """The kept receipts of that time and later, and perhaps some before."""
        lots = [lot for latest, lot in self._kept if latest >= earliest]
        return Receipts(
            np.concatenate([NO_INTS, *(lot.receiver for lot in lots)]),
            np.concatenate([NO_INTS, *(lot.version for lot in lots)]),
            np.concatenate([NO_INTS, *(lot.epoch for lot in lots)]),
            np.concatenate([NO_FLOATS, *(lot.time for lot in lots)]),
            np.concatenate([NO_FLOATS, *(lot.earliest for lot in lots)]),
        )

    def forget(self, before: float) -> None:
        """Drop the lots that are wholly before that time."""
        self._kept = [(latest, lot) for latest, lot in self._kept if latest >= before]
