"""The (update, receiver) pairs that wait for their board."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from loadtest.measure.board_receipts import ReceiptLog
from loadtest.measure.board_spread import NO_FLOATS, NO_INTS, Floats, Ints
from loadtest.measure.missed_versions import Reach
from loadtest.measure.run_totals import Counts
from loadtest.measure.sent_updates import PATIENCE, Relief, Update, Updates

_VERSION_BITS: Final = 40


class Found(NamedTuple):
    """Pairs whose board came: its receiver, when it came, and at most and at least how many seconds the pair took."""

    receiver: Ints
    time: Floats
    latency: Floats
    latency_lower: Floats
    latency_relieved: Floats  # its lower bound without the time in which others kept the service from a CPU

    def joined(self, other: Found) -> Found:
        """Both together."""
        return Found(
            np.append(self.receiver, other.receiver), np.append(self.time, other.time),
            np.append(self.latency, other.latency), np.append(self.latency_lower, other.latency_lower),
            np.append(self.latency_relieved, other.latency_relieved),
        )  # fmt: skip


NOTHING: Final = Found(NO_INTS, NO_FLOATS, NO_FLOATS, NO_FLOATS, NO_FLOATS)


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

    def match(self, updates: Updates, log: ReceiptLog, relief: Relief) -> Found:
        """Find each pair's first board; keep the pairs that found none."""
        if not len(self):
            return NOTHING
        numbers, which = np.unique(self._update, return_inverse=True)
        entries = [updates[number] for number in numbers.tolist()]
        came, earliest = self._arrivals(entries, which, log)
        has = np.isfinite(came)
        self._counts.pairs_received += int(has.sum())
        intended, sent = (
            np.array([getattr(entry, name) for entry in entries])[which][has] for name in ("intended", "sent")
        )
        latency, lower = came[has] - intended, np.maximum(earliest[has] - sent, 0.0)
        relieved = np.maximum(lower - relief(sent, earliest[has]), 0.0)
        found = Found(self._receiver[has], came[has], latency, lower, relieved)
        self._update, self._receiver = self._update[~has], self._receiver[~has]
        return found

    def _arrivals(self, entries: list[Update], which: Ints, log: ReceiptLog) -> tuple[Floats, Floats]:
        """By when each pair's first board had come, infinite without one, and how early it can have come.

        `which` is the pair's row in `entries`.
        """
        # No board brings an update before it was sent.
        receiver, version, epoch, time, first_time = log.kept_since(min(entry.due for entry in entries))
        came, earliest = np.full(len(self), np.inf), np.full(len(self), np.inf)
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
            hit, by = asked[found], rows[place[found]]
            came[hit] = np.minimum(came[hit], time[by])
            earliest[hit] = np.minimum(earliest[hit], first_time[by])
        return came, earliest

    def give_up(
        self, updates: Updates, reach: Reach, sure_since: Callable[[Ints], Floats], now: float, *, final: bool
    ) -> Floats:
        """Count the pairs whose patience ended, all of them if `final`, as lost or unresolved.

        Returns at least how many seconds each of them takes: no end, if its receiver has been connected and read since
        the update was meant (`sure_since`), and nothing, if the pair proves nothing.
        """
        if not len(self):
            return NO_FLOATS
        numbers, which = np.unique(self._update, return_inverse=True)
        entries = [updates[number] for number in numbers.tolist()]
        since = np.array([entry.answered for entry in entries], np.float64)
        over = np.full(len(which), True) if final else (now - since > PATIENCE)[which]
        # Epochs are numbered as they appear. One that comes back would have resolved the pair.
        latest = np.array([max(entry.versions) for entry in entries], np.int64)
        moved_on = reach.epochs_of(self._receiver) > latest[which]
        self._counts.pairs_lost += int((over & ~moved_on).sum())
        self._counts.pairs_unresolved += int((over & moved_on).sum())
        intended = np.array([entry.intended for entry in entries])[which]
        certain = ~moved_on & (sure_since(self._receiver) <= intended)
        lower = np.where(certain, np.inf, 0.0)[over]
        self._update, self._receiver = self._update[~over], self._receiver[~over]
        return lower


class AgePeaks:
    """For each receiver its newest board that brought updates, and the age of the screen that this board ended."""

    def __init__(self) -> None:
        self._newest = NOTHING

    def add(self, found: Found, *, final: bool) -> tuple[Floats, Floats, Floats]:
        """Return the peaks of age that are over, in seconds: at most, at least, and that relieved of others.

        A receiver's newest board is kept back until `final`: an answer may still add to it.
        """
        together = self._newest.joined(found)
        if not len(together.receiver):
            return NO_FLOATS, NO_FLOATS, NO_FLOATS
        order = np.lexsort((together.time, together.receiver))
        receiver, time = together.receiver[order], together.time[order]
        starts = np.flatnonzero(np.append(True, (receiver[1:] != receiver[:-1]) | (time[1:] != time[:-1])))
        age: Floats = np.maximum.reduceat(together.latency[order], starts)
        age_lower: Floats = np.maximum.reduceat(together.latency_lower[order], starts)
        relieved: Floats = np.maximum.reduceat(together.latency_relieved[order], starts)
        receiver, time = receiver[starts], time[starts]
        newest = np.append(receiver[1:] != receiver[:-1], True) & (not final)
        self._newest = Found(receiver[newest], time[newest], age[newest], age_lower[newest], relieved[newest])
        return age[~newest], age_lower[~newest], relieved[~newest]
