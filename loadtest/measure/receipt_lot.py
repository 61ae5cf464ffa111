"""Receipts that were taken together, sorted so that a receiver's first board with a version is found."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from loadtest.measure.board_spread import Floats, Ints

_VERSION_BITS: Final = 40
_VERSION: Final = (1 << _VERSION_BITS) - 1
NEWEST: Final = _VERSION  # a version above all others


class Receipts(NamedTuple):
    """Receipts in the order of their arrival, with what their boards say; one row each.

    A board had arrived by `time`, and not before `earliest`.
    """

    receiver: Ints
    version: Ints
    epoch: Ints
    time: Floats
    earliest: Floats


class FirstRows(NamedTuple):
    """Of some receivers the rows of their first receipts with a version, -1 where there is none.

    They are the same for every version above `above` and up to `up_to`.
    """

    row: Ints
    above: int
    up_to: int


class Lot:
    """At least one receipt; `number` counts the lots, `latest` is the latest time of arrival."""

    def __init__(self, number: int, receipts: Receipts) -> None:
        self.number = number
        self.receipts = receipts
        self.latest = float(receipts.time.max())

    @cached_property
    def _sorted(self) -> dict[int, tuple[Ints, Ints]]:
        """Epoch → its rows by receiver and then by arrival, and keys that ascend: receiver, newest version so far."""
        receipts = self.receipts
        by_epoch = {}
        # Not `np.unique`, whose first call loads a package and stops the loop for 20 ms. Epochs are numbered from 0.
        for epoch in np.flatnonzero(np.bincount(receipts.epoch)).tolist():
            rows = np.flatnonzero(receipts.epoch == epoch)
            rows = rows[np.argsort(receipts.receiver[rows], kind="stable")]
            key = np.maximum.accumulate((receipts.receiver[rows] << _VERSION_BITS) | receipts.version[rows])
            by_epoch[epoch] = rows, key
        return by_epoch

    @cached_property
    def _newest(self) -> dict[int, int]:
        """Epoch → its highest version."""
        return {epoch: int((key & _VERSION).max()) for epoch, (_, key) in self._sorted.items()}

    def newest(self, versions: Mapping[int, int]) -> int:
        """The highest version here of any of these epochs, -1 without one, if it is below those given; else `NEWEST`.

        Below, no receipt here has any of them.
        """
        here = [(self._newest.get(epoch, -1), version) for epoch, version in versions.items()]
        return max(newest for newest, _ in here) if all(newest < version for newest, version in here) else NEWEST

    def first(self, receivers: Ints, versions: Mapping[int, int]) -> FirstRows:
        """Find the earliest receipt of each receiver that has one of the versions of epochs."""
        found = FirstRows(np.full(len(receivers), -1), -1, NEWEST)
        for epoch, version in versions.items():
            if epoch in self._sorted:
                another = self._first(receivers, epoch, version)
                found = another if len(versions) == 1 else self._earlier(found, another)
        return found

    def _first(self, receivers: Ints, epoch: int, version: int) -> FirstRows:
        rows, key = self._sorted[epoch]
        place = np.searchsorted(key, (receivers << _VERSION_BITS) | version)
        here, before = key[np.minimum(place, len(key) - 1)], key[np.maximum(place - 1, 0)]
        there = (place < len(key)) & (here >> _VERSION_BITS == receivers)
        older = (place > 0) & (before >> _VERSION_BITS == receivers)
        row: Ints = np.where(there, rows[np.minimum(place, len(key) - 1)], -1)
        return FirstRows(
            row,
            int((before[older] & _VERSION).max(initial=-1)),
            int((here[there] & _VERSION).min(initial=NEWEST)),
        )

    def _earlier(self, one: FirstRows, other: FirstRows) -> FirstRows:
        """Of each two rows that of the earlier receipt; nothing is known of other versions."""
        time = np.append(self.receipts.time, np.inf)  # row -1
        row: Ints = np.where(time[other.row] < time[one.row], other.row, one.row)
        return FirstRows(row, NEWEST, -1)
