"""The log of receipts: which receiver got which board when, and the part of it that pairs may still need."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from loadtest.measure.board_spread import NO_FLOATS, NO_INTS, Floats, Ints


class Receipts(NamedTuple):
    """Receipts in the order of their arrival, with what their boards say; one row each."""

    receiver: Ints
    version: Ints
    epoch: Ints
    time: Floats


class ReceiptLog:
    """Three columns that grow by one row per receipt, and the receipts taken from them that were kept."""

    def __init__(self) -> None:
        self._taken = 0
        self._receiver = array("q")
        self._board = array("q")
        self._time = array("d")
        self._kept: list[tuple[float, Receipts]] = []  # with the latest time of each lot

    def __len__(self) -> int:
        """How many receipts there were so far, whether they are kept or not."""
        return self._taken + len(self._receiver)

    @property
    def append(self) -> tuple[Callable[[int], None], Callable[[int], None], Callable[[float], None]]:
        """Append receiver, board, time: one receipt is one call of each, in any order."""
        return self._receiver.append, self._board.append, self._time.append

    def take(self) -> tuple[Ints, Ints, Floats]:
        """Empty the columns; returns (receiver, board, time) of the receipts since the last call."""
        taken = np.array(self._receiver, np.int64), np.array(self._board, np.int64), np.array(self._time, np.float64)
        for column in (self._receiver, self._board, self._time):
            del column[:]
        self._taken += len(taken[0])
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
        )

    def forget(self, before: float) -> None:
        """Drop the lots that are wholly before that time."""
        self._kept = [(latest, lot) for latest, lot in self._kept if latest >= before]
