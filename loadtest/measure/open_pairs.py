"""The (update, receiver) pairs that wait for their board."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from loadtest.measure.board_receipts import ReceiptLog
from loadtest.measure.board_spread import NO_FLOATS, NO_INTS, Floats, Ints
from loadtest.measure.missed_versions import Reach
from loadtest.measure.run_totals import Counts
from loadtest.measure.sent_updates import PATIENCE, Update, Updates

_VERSION_BITS: Final = 40


class Found(NamedTuple):
    """Pairs whose board came: its receiver, when it came, and the seconds since the update was meant."""

    receiver: Ints
    time: Floats
    latency: Floats


NOTHING: Final = Found(NO_INTS, NO_FLOATS, NO_FLOATS)


class Pairs:
    """The open pairs as two columns of numbers, of updates and of receivers."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._update = NO_INTS
        self._receiver = NO_INTS

    def __len__(self) -> int:
        """How many are open."""
        return len(self._update)

    @property
    def updates(self) -> Ints:
        """The numbers of the updates that have open pairs."""
        return np.unique(self._update)

    def wait_for(self, receiver: int) -> bool:
        """Whether any of them waits for a board of this receiver."""
        return bool((self._receiver == receiver).any())

    def open(self, update: int, receivers: Ints) -> None:
        """The update is owed to these receivers."""
        self._counts.pairs_owed += len(receivers)
        self._update = np.append(self._update, np.full(len(receivers), update))
        self._receiver = np.append(self._receiver, receivers)

    def match(self, updates: Updates, log: ReceiptLog) -> Found:
        """Find each pair's first board; keep the pairs that found none."""
        if not len(self):
            return NOTHING
        numbers, which = np.unique(self._update, return_inverse=True)
        entries = [updates[number] for number in numbers.tolist()]
        came = self._arrivals(entries, which, log)
        has = np.isfinite(came)
        self._counts.pairs_received += int(has.sum())
        intended = np.array([entry.intended for entry in entries])[which]
        found = Found(self._receiver[has], came[has], came[has] - intended[has])
        self._update, self._receiver = self._update[~has], self._receiver[~has]
        return found

    def _arrivals(self, entries: list[Update], which: Ints, log: ReceiptLog) -> Floats:
        """When each pair's first board came, infinite without one; `which` is the pair's row in `entries`."""
        # No board brings an update before it was sent.
        receiver, version, epoch, time = log.kept_since(min(entry.sent for entry in entries))
        came = np.full(len(self), np.inf)
        for one in {epoch for entry in entries for epoch in entry.versions}:
            rows = np.flatnonzero(epoch == one)
            if not len(rows):
                continue
            rows = rows[np.argsort(receiver[rows], kind="stable")]
            # Sorted by receiver, then by arrival; within a receiver only what is newer than all before counts.
            key = np.maximum.accumulate((receiver[rows] << _VERSION_BITS) | version[rows])
            named = np.array([entry.versions.get(one, -1) for entry in entries], np.int64)[which]
            asked = np.flatnonzero(named >= 0)
            wanted = (self._receiver[asked] << _VERSION_BITS) | named[asked]
            place = np.searchsorted(key, wanted)
            found = place < len(key)
            found[found] = receiver[rows[place[found]]] == self._receiver[asked[found]]
            hit = asked[found]
            came[hit] = np.minimum(came[hit], time[rows[place[found]]])
        return came

    def give_up(self, updates: Updates, reach: Reach, now: float, *, final: bool) -> None:
        """Count the pairs whose patience ended, all of them if `final`, as lost or unresolved."""
        if not len(self):
            return
        numbers, which = np.unique(self._update, return_inverse=True)
        entries = [updates[number] for number in numbers.tolist()]
        since = np.array([entry.answered for entry in entries], np.float64)
        over = np.full(len(which), True) if final else (now - since > PATIENCE)[which]
        # Epochs are numbered as they appear. One that comes back would have resolved the pair.
        latest = np.array([max(entry.versions) for entry in entries], np.int64)
        moved_on = reach.epochs_of(self._receiver) > latest[which]
        self._counts.pairs_lost += int((over & ~moved_on).sum())
        self._counts.pairs_unresolved += int((over & moved_on).sum())
        self._update, self._receiver = self._update[~over], self._receiver[~over]


class AgePeaks:
    """For each receiver its newest board that brought updates, and the age of the screen that this board ended."""

    def __init__(self) -> None:
        self._newest = NOTHING

    def add(self, found: Found, *, final: bool) -> Floats:
        """Return the peaks of age that are over, in seconds.

        A receiver's newest board is kept back until `final`: an answer may still add to it.
        """
        receiver, time, latency = (np.append(kept, new) for kept, new in zip(self._newest, found, strict=True))
        if not len(receiver):
            return NO_FLOATS
        order = np.lexsort((time, receiver))
        receiver, time, latency = receiver[order], time[order], latency[order]
        starts = np.flatnonzero(np.append(True, (receiver[1:] != receiver[:-1]) | (time[1:] != time[:-1])))
        age: Floats = np.maximum.reduceat(latency, starts)
        receiver, time = receiver[starts], time[starts]
        newest = np.append(receiver[1:] != receiver[:-1], True) & (not final)
        self._newest = Found(receiver[newest], time[newest], age[newest])
        ended: Floats = age[~newest]
        return ended
