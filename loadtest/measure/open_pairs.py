"""The (update, receiver) pairs that wait for their board, and what the boards that came did to the screens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import numpy as np

from loadtest.measure.board_receipts import ReceiptLog, Receipts
from loadtest.measure.board_spread import NO_FLOATS, NO_INTS, Floats, Ints
from loadtest.measure.missed_versions import Reach
from loadtest.measure.run_totals import Counts
from loadtest.measure.sent_updates import PATIENCE, Relief, Update, Updates

_VERSION_BITS: Final = 40


class Screens(NamedTuple):
    """Receipts that brought updates: receiver, arrival, and of their oldest update the bounds of its latency."""

    receiver: Ints
    time: Floats
    age: Floats
    age_lower: Floats
    age_relieved: Floats

    def joined(self, other: Screens) -> Screens:
        """Both together."""
        return Screens(
            np.append(self.receiver, other.receiver), np.append(self.time, other.time),
            np.append(self.age, other.age), np.append(self.age_lower, other.age_lower),
            np.append(self.age_relieved, other.age_relieved),
        )  # fmt: skip


class Found(NamedTuple):
    """Pairs whose board came: at most and at least how many seconds each took, and the screens that they changed."""

    latency: Floats
    latency_lower: Floats
    latency_relieved: Floats  # its lower bound without the time in which others kept the service from a CPU
    screens: Screens


NO_SCREENS: Final = Screens(NO_INTS, NO_FLOATS, NO_FLOATS, NO_FLOATS, NO_FLOATS)
NOTHING: Final = Found(NO_FLOATS, NO_FLOATS, NO_FLOATS, NO_SCREENS)


class _Arrived(NamedTuple):
    """Pairs of one update: the row of the receipt that brought each, and when the update was sent and meant."""

    row: Ints
    sent: Floats
    intended: Floats


class _Index:
    """Kept receipts, so that the first one of a receiver with a version is found."""

    def __init__(self, receipts: Receipts) -> None:
        self.receipts = receipts
        self._rows: dict[int, tuple[Ints, Ints]] = {}
        # Not `np.unique`, whose first call loads a package and stops the loop for 20 ms. Epochs are numbered from 0.
        for epoch in np.flatnonzero(np.bincount(receipts.epoch)).tolist():
            rows = np.flatnonzero(receipts.epoch == epoch)
            rows = rows[np.argsort(receipts.receiver[rows], kind="stable")]
            # Sorted by receiver, then by arrival; within a receiver only what is newer than all before counts.
            key = np.maximum.accumulate((receipts.receiver[rows] << _VERSION_BITS) | receipts.version[rows])
            self._rows[epoch] = rows, key

    def first(self, receivers: Ints, versions: Mapping[int, int]) -> Ints:
        """The row of the earliest receipt of each receiver that has one of the versions of epochs; -1 without one."""
        found: Ints | None = None
        for epoch, version in versions.items():
            if epoch in self._rows:
                first = self._first(receivers, epoch, version)
                found = first if found is None else self._earlier(found, first)
        return np.full(len(receivers), -1) if found is None else found

    def _first(self, receivers: Ints, epoch: int, version: int) -> Ints:
        rows, key = self._rows[epoch]
        place = np.searchsorted(key, (receivers << _VERSION_BITS) | version)
        row = rows[np.minimum(place, len(rows) - 1)]
        there = (place < len(rows)) & (self.receipts.receiver[row] == receivers)
        first: Ints = np.where(there, row, -1)
        return first

    def _earlier(self, one: Ints, other: Ints) -> Ints:
        """Of each two rows that of the earlier receipt."""
        time = np.append(self.receipts.time, np.inf)  # row -1
        earlier: Ints = np.where(time[other] < time[one], other, one)
        return earlier


class Pairs:
    """The open pairs: for each update the receivers whose board has not come."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._open: dict[int, Ints] = {}

    def __len__(self) -> int:
        """How many are open."""
        return sum(map(len, self._open.values()))

    @property
    def updates(self) -> list[int]:
        """The numbers of the updates that have open pairs."""
        return list(self._open)

    def wait_for(self, receiver: int) -> bool:
        """Whether any of them waits for a board of this receiver."""
        return any(bool((receivers == receiver).any()) for receivers in self._open.values())

    def open(self, update: int, receivers: Ints) -> None:
        """The update is owed to these receivers."""
        self._counts.pairs_owed += len(receivers)
        if len(receivers):
            self._open[update] = receivers

    def match(self, updates: Updates, log: ReceiptLog, relief: Relief) -> Found:
        """Find each pair's first board; keep the pairs that found none."""
        if not self._open:
            return NOTHING
        # No board brings an update before it was to be sent.
        index = _Index(log.kept_since(min(updates[number].due for number in self._open)))
        arrived = [self._match(number, updates[number], index) for number in list(self._open)]
        row, sent, intended = (np.concatenate(column) for column in zip(*arrived, strict=True))
        if not len(row):
            return NOTHING
        self._counts.pairs_received += len(row)
        receipts = index.receipts
        came, earliest = receipts.time[row], receipts.earliest[row]
        latency, lower = came - intended, np.maximum(earliest - sent, 0.0)
        relieved = np.maximum(lower - relief(sent, earliest), 0.0)
        return Found(latency, lower, relieved, _screens(receipts, row, latency, lower, relieved))

    def _match(self, number: int, update: Update, index: _Index) -> _Arrived:
        receivers = self._open[number]
        row = index.first(receivers, update.versions)
        came = row >= 0
        if came.all():
            del self._open[number]
        else:
            self._open[number] = receivers[~came]
            row = row[came]
        return _Arrived(row, np.full(len(row), update.sent), np.full(len(row), update.intended))

    def give_up(
        self, updates: Updates, reach: Reach, sure_since: Callable[[Ints], Floats], now: float, *, final: bool
    ) -> Floats:
        """Count the pairs whose patience ended, all of them if `final`, as lost or unresolved.

        Returns at least how many seconds each of them takes: no end, if its receiver has been connected and read since
        the update was meant (`sure_since`), and nothing, if the pair proves nothing.
        """
        given_up = [NO_FLOATS]
        for number, receivers in list(self._open.items()):
            update = updates[number]
            assert update.answered is not None  # or it would have no pairs
            if not final and now - update.answered <= PATIENCE:
                continue
            # Epochs are numbered as they appear. One that comes back would have resolved the pair.
            moved_on = reach.epochs_of(receivers) > max(update.versions)
            unresolved = int(moved_on.sum())
            self._counts.pairs_unresolved += unresolved
            self._counts.pairs_lost += len(receivers) - unresolved
            certain = ~moved_on & (sure_since(receivers) <= update.intended)
            given_up.append(np.where(certain, np.inf, 0.0))
            del self._open[number]
        return np.concatenate(given_up)


def _screens(receipts: Receipts, row: Ints, *latencies: Floats) -> Screens:
    """The receipts of these rows, each once, with the largest of each kind of latency."""
    ages = []
    for latency in latencies:
        age = np.full(len(receipts.receiver), -np.inf)
        np.maximum.at(age, row, latency)
        ages.append(age)
    rows = np.flatnonzero(np.isfinite(ages[0]))
    return Screens(receipts.receiver[rows], receipts.time[rows], *(age[rows] for age in ages))


class AgePeaks:
    """For each receiver its newest board that brought updates, and the age of the screen that this board ended."""

    def __init__(self) -> None:
        self._newest = NO_SCREENS

    def add(self, screens: Screens, *, final: bool) -> tuple[Floats, Floats, Floats]:
        """Return the peaks of age that are over, in seconds: at most, at least, and that relieved of others.

        A receiver's newest board is kept back until `final`: an answer may still add to it.
        """
        together = self._newest.joined(screens)
        if not len(together.receiver):
            return NO_FLOATS, NO_FLOATS, NO_FLOATS
        order = np.lexsort((together.time, together.receiver))
        receiver, time = together.receiver[order], together.time[order]
        starts = np.flatnonzero(np.append(True, (receiver[1:] != receiver[:-1]) | (time[1:] != time[:-1])))
        age, lower, relieved = (np.maximum.reduceat(column[order], starts) for column in together[2:])
        receiver, time = receiver[starts], time[starts]
        newest = np.append(receiver[1:] != receiver[:-1], True) & (not final)
        self._newest = Screens(receiver[newest], time[newest], age[newest], lower[newest], relieved[newest])
        return age[~newest], lower[~newest], relieved[~newest]
