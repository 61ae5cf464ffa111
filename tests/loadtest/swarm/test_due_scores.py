"""Scores in the order in which they are due."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import gevent
import pytest

from loadtest.swarm.due_scores import DueScores
from loadtest.swarm.run_clock import RunClock


class Scores:
    """A run that has begun, its due scores, and those that were sent: (player, points, intended)."""

    def __init__(self) -> None:
        self.clock = RunClock()
        self.clock.start(warm_up=0.0, measure=None)
        self.due = DueScores(self.clock)
        self.sent: list[tuple[str, int, float]] = []

    def add(self, player: str, *plan: tuple[float, int]) -> None:
        """The player means to score at these offsets."""

        def moments() -> Iterator[tuple[float, int]]:
            return ((self.clock.origin + offset, points) for offset, points in plan)

        self.due.add(lambda points, intended: self.sent.append((player, points, intended)), moments())

    def names(self) -> str:
        return "".join(player for player, _, _ in self.sent)


@pytest.fixture
def scores() -> Iterator[Scores]:
    made = Scores()
    yield made
    made.due.stop()


def test_all_that_is_due_is_sent_in_order(scores) -> None:
    """Of several players the one who means it first; what lies ahead waits, and `next_at` says for how long."""
    scores.add("a", (1.0, 10), (3.0, 20))
    scores.add("b", (2.0, 30), (9.0, 40))
    origin = scores.clock.origin
    assert scores.due.next_at == origin + 1.0
    scores.due.send_due(origin + 3.0)
    assert [(player, points) for player, points, _ in scores.sent] == [("a", 10), ("b", 30), ("a", 20)]
    assert [intended for _, _, intended in scores.sent] == [origin + 1.0, origin + 2.0, origin + 3.0]
    assert scores.due.next_at == origin + 9.0
    scores.due.send_due(origin + 9.0)
    assert (scores.names(), scores.due.next_at) == ("abab", float("inf"))


def test_nothing_is_sent_after_the_measured_time(scores) -> None:
    """Neither what was meant for later from the start, nor what lies behind an end that came early."""
    scores.add("a", (1.0, 10), (2.0, 10), (3.0, 10))
    scores.clock.ends = scores.clock.origin + 2.0
    scores.add("b", (2.5, 10))
    scores.due.send_due(scores.clock.origin + 99.0)
    assert (scores.names(), scores.due.next_at) == ("a", float("inf"))


def test_a_quiet_time_is_covered_by_a_timer(scores) -> None:
    """Nobody has to receive anything for a score to be sent, and an earlier one that is added is not waited past."""
    scores.add("late", (60.0, 1))
    gevent.sleep(0)
    scores.add("a", (0.0, 1), (0.02, 1))
    with gevent.Timeout(5.0):
        while len(scores.sent) < 2:
            gevent.sleep(0.001)
    assert scores.names() == "aa"


def test_who_stops_sends_no_more(scores) -> None:
    """After `stop` nothing is due."""
    scores.add("a", *zip(itertools.count(), range(10), strict=False))
    scores.due.stop()
    scores.due.send_due(scores.clock.origin + 99.0)
    assert (scores.sent, scores.due.next_at) == ([], float("inf"))
