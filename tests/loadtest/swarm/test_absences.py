from __future__ import annotations

from loadtest.swarm.absences import Absences


def test_the_most_at_once_are_told_and_who_is_still_away_counts_on() -> None:
    """Two who were away one after the other are one at once; a second begins with those who are away then."""
    absences = Absences()
    for change in (absences.begin, absences.end, absences.begin):
        change()
    assert absences.take_most() == 1
    absences.begin()
    absences.end()
    assert absences.take_most() == 2
    absences.end()
    assert [absences.take_most() for _ in range(2)] == [1, 0]
