"""Which versions receivers were owed and missed."""

from __future__ import annotations

import numpy as np
import pytest

from loadtest.measure.board_receipts import Receipts
from loadtest.measure.missed_versions import Reach
from loadtest.measure.run_totals import Counts

EPOCH = 4


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def reach(counts: Counts) -> Reach:
    """Two receivers that were shown version 10."""
    made = Reach(counts)
    made.make_room(2)
    show(made, (0, 10, 0), (1, 10, 0))
    return made


def show(reach: Reach, *boards: tuple[int, int, int], epoch: int = EPOCH, time: float = 5.0) -> None:
    """Boards of (receiver, version, updates) arrive one after another."""
    receiver, version, updates = map(np.array, zip(*boards, strict=True))
    rows = len(receiver)
    floor = np.where(updates > 0, version - updates, 0)
    times = np.full(rows, time)
    reach.count(Receipts(receiver, version, np.full(rows, epoch), times, times), floor, begins=1.0)


def figures(counts: Counts) -> tuple[int, int, int, int]:
    return counts.versions_owed, counts.versions_missed, counts.gaps, counts.reordered


def test_a_board_that_builds_on_the_last_one_misses_nothing(reach, counts) -> None:
    """Each version is owed once to each receiver; the first board owes nothing."""
    show(reach, (0, 11, 1), (1, 13, 3), (0, 13, 2), (0, 14, 4))
    assert figures(counts) == (7, 0, 0, 0)


def test_a_board_that_builds_on_one_that_never_came_shows_a_gap(reach, counts) -> None:
    """Versions 11 and 12 never reached receiver 1."""
    show(reach, (0, 11, 1), (1, 13, 1))
    assert figures(counts) == (4, 2, 1, 0)


def test_a_board_from_before_is_out_of_order(reach, counts) -> None:
    """It owes nothing; the next one is compared with it."""
    show(reach, (0, 9, 1), (0, 11, 1))
    assert figures(counts) == (2, 1, 1, 1)


@pytest.mark.parametrize("version", [3, 20])
@pytest.mark.parametrize(("epoch", "time"), [(EPOCH + 1, 5.0), (EPOCH, 0.5)], ids=["another epoch", "before it begins"])
def test_what_cannot_be_compared_is_not_counted(reach, counts, epoch: int, time: float, version: int) -> None:
    """The first board of an epoch, and one from before the measured time, are remembered only."""
    show(reach, (0, version, 1), epoch=epoch, time=time)
    assert figures(counts) == (0, 0, 0, 0)
    assert reach.holds(epoch, version).tolist() == [True, False]
    assert reach.epochs_of(np.array([0, 1])).tolist() == [epoch, EPOCH]


def test_what_is_behind_at_the_end_was_missed(reach, counts) -> None:
    """Only receivers that are present and of this epoch are owed the rest."""
    show(reach, (0, 12, 2))
    for present in ([True, False], [True, True]):
        reach.owe_rest(EPOCH, 13, np.array(present))
    reach.owe_rest(EPOCH + 1, 99, np.array([True, True]))
    assert figures(counts) == (2 + 1 + (1 + 3), 1 + (1 + 3), 0, 0)
