"""Updates between being sent and being answered."""

from __future__ import annotations

import pytest

from loadtest.measure.run_totals import Counts
from loadtest.measure.sent_updates import PATIENCE, Update, Updates


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def updates(counts: Counts) -> Updates:
    """Update 0 before the measured time, update 1 within it; both are sent by 7, worth 10 and 20."""
    made = Updates(counts)
    made.begins = 5.0
    made.sent(0, Update(7, 4.0, 4.5, 10))
    made.sent(1, Update(7, 6.0, 6.25, 20))
    return made


def released(updates: Updates, now: float, *, final: bool = False) -> list[int]:
    return [number for number, _ in updates.release(now, final=final)]


def test_only_measured_updates_are_counted_but_all_points_are(updates, counts) -> None:
    """Delays and counts are those of the measured time; the points have to be on the board in any case."""
    assert updates.answered(0, 0, 1, durable=True, now=4.75) == pytest.approx(0.25)
    assert updates.answered(1, 0, 2, durable=True, now=6.375) == pytest.approx(0.125)
    assert [delays.tolist() for delays in updates.take_delays()] == [[0.125], [0.25]]
    assert [delays.tolist() for delays in updates.take_delays()] == [[], []]
    assert (counts.updates, counts.answered, updates.points) == (1, 1, {7: 30})


def test_an_answer_that_comes_again_counts_once(updates, counts) -> None:
    """Another one may name another epoch or a lower version, and may be the durable one; nothing is taken back."""
    updates.answered(1, 0, 5, durable=False, now=6.5)
    assert updates.answered(1, 0, 4, durable=False, now=6.6) is None
    assert updates.answered(1, 1, 9, durable=True, now=6.7) is None
    assert updates.answered(1, 0, 6, durable=False, now=6.8) is None
    assert (updates[1].versions, updates[1].durable, updates[1].answered) == ({0: 4, 1: 9}, True, 6.5)
    assert (updates.points, counts.answered) == ({7: 20}, 1)


def test_an_update_is_released_when_its_last_answer_came(updates) -> None:
    """A provisional answer holds it back until the patience ends or the run is over; it is released once."""
    updates.answered(0, 0, 1, durable=True, now=4.75)
    updates.answered(1, 0, 2, durable=False, now=6.5)
    assert released(updates, 6.5 + PATIENCE) == []
    assert 0 not in updates  # it was not measured
    assert released(updates, 6.5 + PATIENCE + 0.01) == [1]
    assert released(updates, 99.0, final=True) == []


def test_an_update_that_is_never_answered_is_given_up(updates, counts) -> None:
    """Its sender is in doubt, until an answer comes late after all."""
    assert (updates.waiting, updates.doubtful) == (2, {7})
    assert released(updates, 6.25 + PATIENCE + 0.01) == []
    assert (counts.unanswered, len(updates), updates.doubtful) == (1, 0, {7})
    assert updates.answered_late(1, 50.0) == 43.75
    assert updates.answered_late(1, 51.0) is None
    assert (counts.unanswered, counts.answered, updates.points) == (0, 1, {7: 20})


def test_an_update_that_was_refused_is_forgotten(updates, counts) -> None:
    """It is neither waited for nor in doubt; a refusal of an unknown update is ignored."""
    for number in (0, 1, 2):
        updates.refused(number)
    assert (counts.refused, updates.waiting, updates.doubtful, len(updates)) == (1, 0, set(), 0)


def test_released_updates_stay_while_their_pairs_are_open(updates) -> None:
    """The others are dropped; what is not released stays."""
    updates.sent(2, Update(8, 7.0, 7.0, 1))
    updates.answered(1, 0, 1, durable=True, now=6.5)
    assert released(updates, 8.0) == [1]
    updates.forget(still_open=[1])
    assert 1 in updates
    assert updates.earliest_sent(default=99.0) == 4.5
    updates.forget(still_open=[])
    assert (1 in updates, 2 in updates) == (False, True)
