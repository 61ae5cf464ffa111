"""The run second by second, and its totals."""

from __future__ import annotations

import os
from array import array
from dataclasses import replace
from typing import Protocol

import gevent
import pytest

from loadtest.measure.board_spread import BoardHead
from loadtest.measure.open_pairs import PAIRS_AT_ONCE
from loadtest.measure.pair_ledger import Ledger
from loadtest.measure.run_totals import Second, Tally
from loadtest.swarm.absences import Absences
from loadtest.swarm.run_clock import RunClock
from loadtest.swarm.seconds import AT_A_TIME, Counters, Seconds
from loadtest.swarm.stamp_clock import StampClock


class Time(Protocol):
    """Moves by hand."""

    now: float


class Process:
    """One generator process: its books, and the `Seconds` that are read from them."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self.clock, self.ledger, self.tally = RunClock(), Ledger(), Tally()
        self.loop_lags, self.absences = array("d"), Absences()
        self.counters = Counters()
        self.takes = 0.0  # seconds that each part of an absorption takes
        self.turns: list[float] = []  # when scores had their turn
        self.seconds = Seconds(
            "generator 3", clock=self.clock, ledger=self.ledger, tally=self.tally,
            stamps=StampClock(self.clock, lambda: None), absences=self.absences, waiting={}, loop_lags=self.loop_lags,
            counters=lambda: self.counters, send_due=self.sent_due,
        )  # fmt: skip
        self.ledger.enter(0, 0.0)

    def sent_due(self, now: float) -> None:
        """Scores have their turn after a part."""
        self.turns.append(now)
        self._time.now += self.takes

    def start(self) -> None:
        self.clock.start(warm_up=0.0, measure=3.0)
        self.ledger.begin(self.clock.begins)

    def update(self, number: int, at: float, *, shown_after: float) -> None:
        """One update is answered after 10 ms, and shown to the only receiver so many seconds after `at`."""
        self.ledger.due(number, sender=0, intended=at, now=at, points=1)
        self.ledger.sent(number, at)
        self.ledger.answered(number, "e", number + 1, durable=True, now=at + 0.01)
        board = self.ledger.board(BoardHead(number + 1, 1, "e", at * 1000, None))
        self.ledger.received(0, board, at + shown_after)


@pytest.fixture
def process(standing_time) -> Process:
    return Process(standing_time)


def test_growth_is_written_by_name() -> None:
    """Each counter's growth goes into the field of its own name."""
    before = Counters(1, 2, 3, 4, 5, 6, 7, 8)
    second = Second(1, "measure")
    replace(before, sent=11, missed=10, bytes=104).write_growth(before, second)
    assert (second.sent, second.bytes, second.missed) == (10, 100, 2)
    assert (second.answered, second.frames, second.errors, second.closes, second.owed) == (0, 0, 0, 0, 0)


def test_a_second_holds_what_became_known_in_it(process, standing_time) -> None:
    """Latencies, answers and lags go into the second in which they are absorbed, and into the totals."""
    process.start()
    process.update(0, 1000.1, shown_after=0.05)
    process.loop_lags.extend([0.004, 0.006])
    process.counters = Counters(sent=1, frames=2)
    standing_time.now = 1001.0
    first = process.seconds.close(players=1)
    process.update(1, 1001.5, shown_after=0.25)
    process.counters = Counters(sent=2, frames=5)
    standing_time.now = 1002.0
    second = process.seconds.close(players=1)
    assert (first.at, first.phase, first.players, first.sent, first.frames) == (1001, "measure", 1, 1, 2)
    assert (first.latency.count, first.latency.maximum) == (1, pytest.approx(0.05))
    assert (first.ack.count, first.lag.count, first.lag.maximum) == (1, 4, pytest.approx(0.006))
    assert (second.sent, second.frames, second.lag.count) == (1, 3, 2)
    assert (second.latency.count, second.latency.maximum) == (1, pytest.approx(0.25))
    tally = process.tally
    assert (tally.latency.count, tally.ack.count, tally.send_lag.count) == (2, 2, 2)
    assert (tally.receive_lag.count, tally.loop_lag.count) == (2, 2)
    assert (first.latency_lower, second.latency_lower.count) == (first.latency, 1)


def test_absorbing_often_gives_the_same_second(process, standing_time) -> None:
    """What was absorbed before the second is closed is in it once."""
    process.start()
    process.update(0, 1000.1, shown_after=0.05)
    for _ in range(3):
        process.seconds.absorb()
    standing_time.now = 1001.0
    assert process.seconds.close(players=1).latency.count == process.tally.latency.count == 1


def test_scores_have_their_turn_while_pairs_are_resolved(process) -> None:
    """However many pairs there are: between two parts of some thousand, what is due is sent."""
    process.start()
    for receiver in range(1, 1000):
        process.ledger.enter(receiver, 0.0)
    for number in range(100):
        process.update(number, 1000.1, shown_after=0.05)
    board = process.ledger.board(BoardHead(100, 1, "e", 1e6, None))
    for receiver in range(1, 1000):
        process.ledger.received(receiver, board, 1000.2)
    process.seconds.absorb()
    assert process.tally.latency.count == 100_000
    assert len(process.turns) > 100_000 / PAIRS_AT_ONCE


def test_boards_are_received_while_pairs_are_resolved(process) -> None:
    """An absorption that takes long lets the event loop read, not only greenlets run."""
    process.start()
    process.takes = AT_A_TIME
    for number in range(10):
        process.update(number, 1000.1, shown_after=0.05)
    reading, writing = os.pipe()
    received: list[int] = []
    watcher = gevent.get_hub().loop.io(reading, 1)
    watcher.start(lambda: received.append(len(os.read(reading, 1))))
    try:
        os.write(writing, b"b")
        process.seconds.absorb()
        assert received == [1]
    finally:
        watcher.stop()
        watcher.close()
        os.close(reading)
        os.close(writing)


def test_no_two_seconds_are_the_same_one(process, standing_time) -> None:
    """Closed early, the next second is the next whole one; the numbers never go back."""
    assert [process.seconds.close(players=0).at for _ in range(3)] == [1000, 1001, 1002]
    standing_time.now = 1010.9
    assert process.seconds.close(players=0).at == 1010


def test_what_is_still_open_at_the_end_is_lost(process, standing_time) -> None:
    """`final` leaves no pair waiting."""
    process.start()
    process.ledger.due(0, sender=0, intended=1000.1, now=1000.1, points=1)
    process.ledger.answered(0, "e", 1, durable=True, now=1000.2)
    process.seconds.absorb()
    assert process.ledger.counts.pairs_lost == 0
    process.seconds.absorb(final=True)
    assert process.ledger.counts.pairs_lost == 1


def test_the_share_of_a_core_counts_in_the_measured_time_only(process, standing_time) -> None:
    """Every second has the CPU share of this thread; the totals have those that lie wholly in the measured time."""
    process.start()
    shares = []
    for used in (0.25, 0.5, 0.75, 1.0):  # the fourth second ends after the measured time
        standing_time.now += 1.0
        standing_time.used += used
        shares.append(process.seconds.close(players=1).cpu)
    assert shares == [{"generator 3": share} for share in (0.25, 0.5, 0.75, 1.0)]
    assert process.tally.busy == {"generator 3": [0.25, 0.5, 0.75]}
