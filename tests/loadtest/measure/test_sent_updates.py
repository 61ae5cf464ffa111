"""Updates between being sent and being answered."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loadtest.measure.board_spread import Floats
from loadtest.measure.run_totals import Counts
from loadtest.measure.sent_updates import PATIENCE, Relief, Update, Updates
from loadtest.measure.stamp_shift import NO_SHIFT, StampShift


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def updates(counts: Counts) -> Updates:
    """Update 0 before the measured time, update 1 within it; both are sent by 7, worth 10 and 20."""
    made = Updates(counts)
    made.begins = 5.0
    for number, update in enumerate((Update(7, 4.0, 4.25, 10), Update(7, 6.0, 6.125, 20))):
        made.due(number, update)
        made.sent(number, update.due + 0.125)
    return made


def answer(updates: Updates, number: int, epoch: int, version: int, *, durable: bool, now: float) -> bool:
    """An answer that had come by now, and not before a 16th of a second earlier."""
    return updates.answered(number, epoch, version, durable=durable, now=now, arrived=now, earliest=now - 0.0625)


def sixteenth(begin: Floats, _end: Floats) -> Floats:
    """Others had the CPU for so long in each span."""
    return np.full(len(begin), 0.0625)


def delays(
    updates: Updates, now: float = 100.0, shift: StampShift = NO_SHIFT, relief: Relief = sixteenth
) -> list[list[float]]:
    return [column.tolist() for column in updates.take_delays(now, shift, relief)]


def released(updates: Updates, now: float, *, final: bool = False) -> list[int]:
    return [number for number, _ in updates.release(now, final=final)]


def test_only_measured_updates_are_counted_but_all_points_are(updates, counts) -> None:
    """Delays and counts are those of the measured time; the points have to be on the board in any case."""
    assert answer(updates, 0, 0, 1, durable=True, now=4.75)
    assert answer(updates, 1, 0, 2, durable=True, now=6.5)
    assert delays(updates) == [[0.375], [0.1875], [0.125], [0.25]]
    assert delays(updates) == [[], [], [], []]
    assert (counts.updates, counts.answered, updates.points) == (1, 1, {7: 30})


def test_an_answer_that_comes_again_counts_once(updates, counts) -> None:
    """Another one may name another epoch or a lower version, and may be the durable one; nothing is taken back."""
    answer(updates, 1, 0, 5, durable=False, now=6.5)
    assert not answer(updates, 1, 0, 4, durable=False, now=6.6)
    assert not answer(updates, 1, 1, 9, durable=True, now=6.7)
    assert not answer(updates, 1, 0, 6, durable=False, now=6.8)
    assert (updates[1].versions, updates[1].durable, updates[1].answered) == ({0: 4, 1: 9}, True, 6.5)
    assert (updates.points, counts.answered) == ({7: 20}, 1)


def test_an_update_is_released_when_its_last_answer_came(updates) -> None:
    """A provisional answer holds it back until the patience ends or the run is over; it is released once."""
    answer(updates, 0, 0, 1, durable=True, now=4.75)
    answer(updates, 1, 0, 2, durable=False, now=6.5)
    assert released(updates, 6.5 + PATIENCE) == []
    assert 0 not in updates  # it was not measured
    assert released(updates, 6.5 + PATIENCE + 0.01) == [1]
    assert released(updates, 99.0, final=True) == []


def test_an_update_that_is_never_answered_is_given_up(updates, counts) -> None:
    """Its sender is in doubt, until an answer comes late after all."""
    assert (updates.waiting, updates.doubtful) == (2, {7})
    assert released(updates, 6.125 + PATIENCE + 0.01) == []
    assert (counts.unanswered, len(updates), updates.doubtful) == (1, 0, {7})
    assert updates.answered_late(1) == 6.125
    assert updates.answered_late(1) is None
    assert (counts.unanswered, counts.answered, updates.points) == (0, 1, {7: 20})


def test_what_is_never_answered_takes_for_ever_at_most_and_nothing_at_least(updates, counts) -> None:
    """It is told once, as lost; one that was never sent is late without end, and the generator's."""
    updates.due(2, Update(8, 7.0, 7.0, 1))
    assert released(updates, 8.0, final=True) == []
    assert delays(updates) == [[math.inf] * 2, [0.0] * 2, [0.0] * 2, [0.25, math.inf]]
    assert [[update.intended for update in updates.take_lost()] for _ in range(2)] == [[6.0, 7.0], []]
    assert (counts.unanswered, counts.unsent) == (2, 1)


def test_what_the_generator_took_back_counts_from_its_next_sending(updates) -> None:
    """It may never have left with the connection; how late the schedule was is that of the first time."""
    updates.sent(1, 6.4)  # once more on the same connection: it was sent before
    assert updates[1].sent == 6.25
    updates.taken_back(1)
    updates.sent(1, 7.0)
    answer(updates, 1, 0, 2, durable=True, now=7.125)
    assert delays(updates) == [[1.0], [0.0625], [0.0], [0.25]]
    updates.taken_back(1)  # after the answer that is over
    assert updates[1].sent == 7.0


def test_answers_after_a_clock_was_set_are_bounded_by_the_moment(updates) -> None:
    """A stamp of that time says nothing: by now at most, and nothing at least; a known shift is taken off."""
    answer(updates, 1, 0, 2, durable=True, now=3606.5)
    assert delays(updates, 7.0, StampShift(known=False))[:2] == [
        [0.875],
        [0.0],
    ]
    updates.due(2, Update(8, 7.0, 7.0, 1))
    updates.sent(2, 7.0)
    answer(updates, 2, 0, 3, durable=True, now=3607.5)
    assert delays(updates, 9.0, StampShift(3600.0))[:2] == [
        [0.5],
        [0.4375],
    ]


def test_an_update_that_was_refused_is_forgotten(updates, counts) -> None:
    """It is neither waited for nor in doubt; a refusal of an unknown update is ignored."""
    for number in (0, 1, 2):
        updates.refused(number)
    assert (counts.refused, updates.waiting, updates.doubtful, len(updates)) == (1, 0, set(), 0)


def test_released_updates_stay_while_their_pairs_are_open(updates) -> None:
    """The others are dropped; what is not released stays."""
    updates.due(2, Update(8, 7.0, 7.0, 1))
    answer(updates, 1, 0, 1, durable=True, now=6.5)
    assert released(updates, 8.0) == [1]
    updates.forget(still_open=[1])
    assert 1 in updates
    assert updates.earliest_due(default=99.0) == 4.25
    updates.forget(still_open=[])
    assert (1 in updates, 2 in updates) == (False, True)
