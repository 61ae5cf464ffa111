"""Pairs of updates and receivers that wait for their board."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loadtest.measure.board_receipts import ReceiptLog
from loadtest.measure.board_spread import Floats, Ints
from loadtest.measure.missed_versions import Reach
from loadtest.measure.open_pairs import NO_SCREENS, AgePeaks, Pairs, Screens
from loadtest.measure.receipt_lot import Receipts
from loadtest.measure.run_totals import Counts
from loadtest.measure.sent_updates import PATIENCE, Update, Updates


class Books:
    """One update, meant at 1 s and answered at 2 s as version 5 of epoch 0, that is owed to the receivers 0 and 2."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.updates, self.log, self.reach = Updates(self.counts), ReceiptLog(), Reach(self.counts)
        self.pairs = Pairs(self.counts)
        self.updates.due(0, Update(0, 1.0, 1.25, 10))
        self.updates.sent(0, 1.5)
        self.answered(0, 5, 2.0)
        self.pairs.open(0, np.array([0, 2]))
        self.reach.make_room(3)

    def answered(self, epoch: int, version: int, now: float) -> None:
        """The update is answered."""
        self.updates.answered(0, epoch, version, durable=True, now=now, arrived=now, earliest=now)

    def give_up(self, now: float, *, final: bool = False, sure_since: float = 0.0) -> list[float]:
        """The lower bounds of the pairs whose patience ended; each receiver reads since `sure_since`."""

        def since(receiver: Ints) -> Floats:
            return np.full(len(receiver), sure_since)

        return self.pairs.give_up(self.updates, self.reach, since, now, final=final).tolist()

    def show(self, *boards: tuple[int, int, int, float]) -> None:
        """Boards of (receiver, version, epoch, time) arrive."""
        receiver, version, epoch, time = map(np.array, zip(*boards, strict=True))
        receipts = Receipts(receiver, version, epoch, time, time - 0.25)
        self.log.keep(receipts)
        self.reach.count(receipts, np.zeros(len(receiver), np.int64), begins=0.0)

    def match(self) -> list[tuple[int, float, float, float, float]]:
        """(receiver, time, latency, its lower bound, that without others) of the pairs whose board came."""
        parts = list(self.pairs.matching(self.updates, self.log, lambda begin, end: np.full_like(begin - end, 0.25)))
        if not parts:
            return []
        *latencies, screens = zip(*parts, strict=True)
        # Each of these boards brings one update.
        for ages, found in zip(screens[-1][2:], latencies, strict=True):
            assert sorted(ages) == sorted(np.concatenate(found))
        return list(zip(*(column.tolist() for column in screens[-1]), strict=True))


@pytest.fixture
def books() -> Books:
    return Books()


def test_the_first_board_that_is_new_enough_counts(books) -> None:
    """Older boards, later ones and boards of receivers that are owed nothing make no pair."""
    books.show((0, 4, 0, 2.0), (1, 5, 0, 2.1))
    assert books.match() == []
    books.show((0, 6, 0, 2.5), (0, 4, 0, 2.75), (0, 7, 0, 3.0))
    assert books.match() == [(0, 2.5, 1.5, 0.75, 0.5)]
    assert (len(books.pairs), books.pairs.updates, books.counts.pairs_received) == (1, [0], 1)
    books.show((2, 5, 0, 4.0))
    assert books.match() == [(2, 4.0, 3.0, 2.25, 2.0)]
    assert (books.match(), books.pairs.updates) == ([], [])


def test_of_several_epochs_the_earliest_board_counts(books) -> None:
    """An update that has a place in two epochs has arrived with whichever board is first."""
    books.answered(1, 50, 2.2)
    books.show((0, 50, 1, 2.5), (0, 5, 0, 2.75), (2, 5, 0, 2.5), (2, 50, 1, 2.75), (2, 49, 2, 2.0))
    assert books.match() == [(0, 2.5, 1.5, 0.75, 0.5), (2, 2.5, 1.5, 0.75, 0.5)]


def test_pairs_are_given_up_after_the_patience(books) -> None:
    """Until then they wait; a receiver that was shown a later epoch instead leaves its pair unresolved."""
    books.show((0, 4, 0, 2.0), (2, 1, 3, 2.0))
    assert books.give_up(2.0 + PATIENCE) == []
    assert len(books.pairs) == 2
    assert books.give_up(2.0 + PATIENCE + 0.01) == [math.inf, 0.0]
    assert (len(books.pairs), books.counts.pairs_lost, books.counts.pairs_unresolved) == (0, 1, 1)


def test_at_the_end_no_pair_waits(books) -> None:
    """`final` ends all patience."""
    assert books.give_up(2.1, final=True) == [math.inf] * 2
    assert (books.counts.pairs_owed, books.counts.pairs_lost, len(books.pairs)) == (2, 2, 0)


def test_a_receiver_that_was_away_proves_nothing(books) -> None:
    """A pair is lost for certain only if its receiver has been connected and read since the update was meant."""
    assert books.give_up(2.1, final=True, sure_since=1.01) == [0.0] * 2


def screens(*rows: tuple[int, float, float]) -> Screens:
    """Screens of (receiver, time, age), of which half is certain, and a quarter without others."""
    receiver, time, latency = zip(*rows, strict=True)
    return Screens(np.array(receiver), np.array(time), np.array(latency), np.array(latency) / 2, np.array(latency) / 4)


def test_the_oldest_update_of_a_board_is_its_peak_of_age() -> None:
    """A receiver's newest board waits for later answers; a newer one, or the end, releases its peak."""
    ages = AgePeaks()

    def add(shown: Screens, *, final: bool = False) -> list[list[float]]:
        return [peaks.tolist() for peaks in ages.add(shown, final=final)]

    assert add(screens((0, 5.0, 1.0), (0, 5.0, 3.0), (1, 5.5, 2.0))) == [[], [], []]
    assert add(screens((0, 5.0, 4.0), (0, 6.0, 0.5))) == [[4.0], [2.0], [1.0]]
    assert add(NO_SCREENS, final=True) == [[0.5, 2.0], [0.25, 1.0], [0.125, 0.5]]
    assert add(NO_SCREENS, final=True) == [[], [], []]
