"""Which versions of the session each receiver was owed, and which of them it missed."""

from __future__ import annotations

import numpy as np

from loadtest.measure.board_spread import NO_INTS, Bools, Ints
from loadtest.measure.receipt_lot import Receipts
from loadtest.measure.run_totals import Counts


class Reach:
    """The last board of each receiver; counts what the boards before the last one should have brought."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._version = NO_INTS
        self._epoch = NO_INTS

    def make_room(self, receivers: int) -> None:
        """Have a row for each of so many receivers."""
        missing = np.full(max(receivers - len(self._version), 0), -1)
        self._version = np.append(self._version, missing)
        self._epoch = np.append(self._epoch, missing)

    def count(self, receipts: Receipts, floor: Ints, begins: float) -> None:
        """Count what each receipt brought, and which versions before it never came.

        `floor` is the version that each board builds on; what came before `begins` is not counted. At least one.
        """
        order = np.argsort(receipts.receiver, kind="stable")
        receiver, version, epoch, floor = (
            column[order] for column in (receipts.receiver, receipts.version, receipts.epoch, floor)
        )
        time = receipts.time[order]
        first = np.empty(len(receiver), bool)
        first[0] = True
        np.not_equal(receiver[1:], receiver[:-1], out=first[1:])
        previous = np.empty_like(version)
        previous[1:] = version[:-1]
        previous[first] = self._version[receiver[first]]
        previous_epoch = np.empty_like(epoch)
        previous_epoch[1:] = epoch[:-1]
        previous_epoch[first] = self._epoch[receiver[first]]
        self._count_steps(version - previous, floor - previous, (epoch == previous_epoch) & (time >= begins))
        last = np.append(first[1:], True)
        self._version[receiver[last]] = version[last]
        self._epoch[receiver[last]] = epoch[last]

    def _count_steps(self, gained: Ints, skipped: Ints, counted: Bools) -> None:
        """Count by how much each receipt's version is above the one before, and by how much its floor is."""
        missed = np.maximum(skipped, 0)[counted & (gained > 0)]
        self._counts.versions_owed += int(gained[counted & (gained > 0)].sum())
        self._counts.versions_missed += int(missed.sum())
        self._counts.gaps += int((missed > 0).sum())
        self._counts.reordered += int((counted & (gained < 0)).sum())

    def holds(self, epoch: int, version: int) -> Bools:
        """Per receiver: whether its last board is this one."""
        held: Bools = (self._epoch == epoch) & (self._version == version)
        return held

    def epochs_of(self, receiver: Ints) -> Ints:
        """The epoch of the last board of each of these receivers, -1 without one."""
        return self._epoch[receiver]

    def owe_rest(self, epoch: int, version: int, present: Bools) -> None:
        """The epoch ends at this version: what a receiver that is present has not seen of it was missed."""
        behind = present & (self._epoch == epoch) & (self._version < version)
        missed = int((version - self._version[behind]).sum())
        self._counts.versions_owed += missed
        self._counts.versions_missed += missed
