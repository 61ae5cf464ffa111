"""Who took part when."""

from __future__ import annotations

import math

import pytest

from loadtest.measure.participants import Participants


@pytest.fixture
def participants() -> Participants:
    """Receiver 0 from 1 s to 5 s, receiver 1 not yet, receiver 2 from 3 s on."""
    made = Participants()
    made.enter(0, 1.0)
    made.leave(0, 5.0)
    made.enter(1, math.inf)
    made.enter(2, 3.0)
    return made


@pytest.mark.parametrize(
    ("moment", "there"), [(0.9, []), (1.0, [0]), (3.0, [0, 2]), (4.9, [0, 2]), (5.0, [2]), (1e9, [2])]
)
def test_a_receiver_takes_part_from_entering_until_leaving(participants, moment: float, there: list[int]) -> None:
    """The moment of entering is in, that of leaving is not."""
    assert participants.at(moment).tolist() == there


def test_those_who_never_entered_are_not_counted(participants) -> None:
    """A receiver whose time of entering is infinite has a row, and nothing else."""
    assert (len(participants), participants.seen, participants.present.tolist()) == (3, 2, [False, False, True])


def test_the_earliest_time_of_entering_counts(participants) -> None:
    """A connection that breaks and comes back does not take anything off."""
    participants.enter(2, 9.0)
    assert participants.at(4.0).tolist() == [0, 2]
