"""Pairs of updates and receivers that wait for their board."""

from __future__ import annotations

import numpy as np
import pytest

from loadtest.measure.board_receipts import ReceiptLog, Receipts
from loadtest.measure.missed_versions import Reach
from loadtest.measure.open_pairs import NOTHING, AgePeaks, Found, Pairs
from loadtest.measure.run_totals import Counts
from loadtest.measure.sent_updates import PATIENCE, Update, Updates


class Books:
    """One update, meant at 1 s and answered at 2 s as version 5 of epoch 0, that is owed to the receivers 0 and 2."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.updates, self.log, self.reach = Updates(self.counts), ReceiptLog(), Reach(self.counts)
        self.pairs = Pairs(self.counts)
        self.updates.sent(0, Update(0, 1.0, 1.5, 10))
        self.updates.answered(0, 0, 5, durable=True, now=2.0)
        self.pairs.open(0, np.array([0, 2]))
        self.reach.make_room(3)

    def show(self, *boards: tuple[int, int, int, float]) -> None:
        """Boards of (receiver, version, epoch, time) arrive."""
        receiver, version, epoch, time = map(np.array, zip(*boards, strict=True))
        receipts = Receipts(receiver, version, epoch, time)
        self.log.keep(receipts)
        self.reach.count(receipts, np.zeros(len(receiver), np.int64), begins=0.0)

    def match(self) -> list[tuple[int, float, float]]:
        """(receiver, time, latency) of the pairs whose board came."""
        found = self.pairs.match(self.updates, self.log)
        return list(zip(*(column.tolist() for column in found), strict=True))


@pytest.fixture
def books() -> Books:
    return Books()


def test_the_first_board_that_is_new_enough_counts(books) -> None:
    """Older boards, later ones and boards of receivers that are owed nothing make no pair."""
    books.show((0, 4, 0, 2.0), (1, 5, 0, 2.1))
    assert books.match() == []
    books.show((0, 6, 0, 2.5), (0, 4, 0, 2.75), (0, 7, 0, 3.0))
    assert books.match() == [(0, 2.5, 1.5)]
    assert (len(books.pairs), books.pairs.updates.tolist(), books.counts.pairs_received) == (1, [0], 1)
    books.show((2, 5, 0, 4.0))
    assert books.match() == [(2, 4.0, 3.0)]
    assert (books.match(), books.pairs.updates.tolist()) == ([], [])


def test_of_several_epochs_the_earliest_board_counts(books) -> None:
    """An update that has a place in two epochs has arrived with whichever board is first."""
    books.updates.answered(0, 1, 50, durable=True, now=2.2)
    books.show((0, 50, 1, 2.5), (0, 5, 0, 2.75), (2, 5, 0, 2.5), (2, 50, 1, 2.75), (2, 49, 2, 2.0))
    assert books.match() == [(0, 2.5, 1.5), (2, 2.5, 1.5)]


def test_pairs_are_given_up_after_the_patience(books) -> None:
    """Until then they wait; a receiver that was shown a later epoch instead leaves its pair unresolved."""
    books.show((0, 4, 0, 2.0), (2, 1, 3, 2.0))
    books.pairs.give_up(books.updates, books.reach, 2.0 + PATIENCE, final=False)
    assert len(books.pairs) == 2
    books.pairs.give_up(books.updates, books.reach, 2.0 + PATIENCE + 0.01, final=False)
    assert (len(books.pairs), books.counts.pairs_lost, books.counts.pairs_unresolved) == (0, 1, 1)


def test_at_the_end_no_pair_waits(books) -> None:
    """`final` ends all patience."""
    books.pairs.give_up(books.updates, books.reach, 2.1, final=True)
    assert (books.counts.pairs_owed, books.counts.pairs_lost, len(books.pairs)) == (2, 2, 0)


def found(*rows: tuple[int, float, float]) -> Found:
    """Pairs of (receiver, time, latency)."""
    receiver, time, latency = zip(*rows, strict=True)
    return Found(np.array(receiver), np.array(time), np.array(latency))


def test_the_oldest_update_of_a_board_is_its_peak_of_age() -> None:
    """A receiver's newest board waits for later answers; a newer one, or the end, releases its peak."""
    ages = AgePeaks()
    assert ages.add(found((0, 5.0, 1.0), (0, 5.0, 3.0), (1, 5.5, 2.0)), final=False).tolist() == []
    assert ages.add(found((0, 5.0, 4.0), (0, 6.0, 0.5)), final=False).tolist() == [4.0]
    assert ages.add(NOTHING, final=True).tolist() == [0.5, 2.0]
    assert ages.add(NOTHING, final=True).tolist() == []
