"""The log of receipts: which receiver got which board when, and the part of it that pairs may still need."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from loadtest.measure.board_spread import Floats, Ints
from loadtest.measure.receipt_lot import Lot, Receipts

ROW: Final = struct.Struct("=qqddd")  # of a receipt: the fields of `Taken`
_COLUMNS: Final = np.dtype({
    "names": ["receiver", "board", "time", "earliest", "read"],
    "formats": [np.int64, np.int64, np.float64, np.float64, np.float64],
})  # fmt: skip


class Taken(NamedTuple):
    """Receipts as they were logged, one row each; times by the clock of the stamps."""

    receiver: Ints
    board: Ints
    time: Floats
    earliest: Floats
    read: Floats


class ReceiptLog:
    """A row for each receipt, and the receipts taken from it that were kept."""

    def __init__(self) -> None:
        self._taken = 0
        self._rows = bytearray()
        self._lots = 0  # so far
        self._kept: list[Lot] = []

    def __len__(self) -> int:
        """How many receipts there were so far, whether they are kept or not."""
        return self._taken + self.waiting

    @property
    def waiting(self) -> int:
        """How many have not been taken."""
        return len(self._rows) // ROW.size

    @property
    def append(self) -> Callable[[bytes], None]:
        """Append the row of a receipt."""
        return self._rows.extend

    def take(self) -> Taken:
        """Empty the log; returns the receipts since the last call."""
        rows = np.frombuffer(bytes(self._rows), _COLUMNS)
        self._rows.clear()
        self._taken += len(rows)
        return Taken(*(rows[name].copy() for name in Taken._fields))

    def keep(self, receipts: Receipts) -> None:
        """Remember these, at least one, until `forget`."""
        self._kept.append(Lot(self._lots, receipts))
        self._lots += 1

    def kept_since(self, earliest: float) -> list[Lot]:
        """The lots with receipts of that time or later, in their order."""
        return [lot for lot in self._kept if lot.latest >= earliest]

    def forget(self, before: float) -> None:
        """Drop the lots that are wholly before that time."""
        self._kept = self.kept_since(before)
