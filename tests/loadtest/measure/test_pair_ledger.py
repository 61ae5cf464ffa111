from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.measure.board_spread import BoardHead, Floats
from loadtest.measure.pair_ledger import Ledger
from loadtest.measure.sent_updates import PATIENCE
from loadtest.measure.stamp_shift import StampShift


def head(version: int, updates: int = 1, epoch: str = "e") -> BoardHead:
    return BoardHead(version, updates, epoch, sent_at=1000.0, oldest_at=990.0)


def ledger(receivers: int = 2, begins: float = 0.0) -> Ledger:
    books = Ledger()
    for receiver in range(receivers):
        books.enter(receiver, -100.0)
        books.received(receiver, books.board(head(0, 0)), -99.0)
    books.begin(begins)
    return books


def send(books: Ledger, number: int, *, sender: int, intended: float, now: float, points: int) -> None:
    """An update is due, and the kernel takes it at once."""
    books.due(number, sender=sender, intended=intended, now=now, points=points)
    books.sent(number, now)


def one_update(books: Ledger, number: int, version: int, at: float, epoch: str = "e") -> None:
    send(books, number, sender=0, intended=at, now=at + 0.001, points=10)
    books.answered(number, epoch, version, durable=True, now=at + 0.002)


def test_a_board_brings_every_update_it_includes() -> None:
    """One board of version 3 brings the updates 1 to 3 to its receiver, each from its intended time on."""
    books = ledger(1)
    for number in range(3):
        one_update(books, number, number + 1, 1.0 + number)
    books.received(0, books.board(head(3, 3)), 5.0)
    assert sorted(books.resolve(6.0).latency) == [2.0, 3.0, 4.0]
    assert (books.counts.pairs_owed, books.counts.pairs_received) == (3, 3)


def test_latency_is_taken_from_the_intended_time() -> None:
    """An update that was sent two seconds late is two seconds late on every screen."""
    books = ledger(1)
    send(books, 0, sender=0, intended=1.0, now=3.0, points=10)
    assert books.answered(0, "e", 1, durable=True, now=3.25) == pytest.approx(0.25)
    books.received(0, books.board(head(1)), 3.5)
    resolved = books.resolve(4.0)
    assert (resolved.latency.tolist(), resolved.send_lag.tolist(), resolved.ack.tolist()) == ([2.5], [2.0], [0.25])


def test_the_lower_bound_runs_from_the_sending_to_the_earliest_arrival() -> None:
    """What was sent late and read late is in the upper bound only; an arrival before the sending is none at all."""
    books = ledger(3)
    books.due(0, sender=0, intended=1.0, now=1.5, points=10)
    books.sent(0, 2.0)
    books.answered(0, "e", 1, durable=True, now=2.5, arrived=2.5, earliest=2.25)
    board = books.board(head(1))
    for receiver, earliest in enumerate((2.75, 1.9, 0.0)):
        books.received(receiver, board, 3.0, earliest)
    resolved = books.resolve(4.0, final=True)
    assert (resolved.latency.tolist(), resolved.latency_lower.tolist()) == ([2.0] * 3, [0.75, 0.0, 0.0])
    assert (resolved.ack.tolist(), resolved.ack_lower.tolist()) == ([1.0], [0.25])
    assert (resolved.age.tolist(), resolved.age_lower.tolist()) == ([2.0] * 3, [0.75, 0.0, 0.0])
    assert (resolved.skew.tolist(), resolved.skew_lower.tolist()) == ([math.inf], [0.0])


def test_the_time_in_which_others_had_the_cpu_is_taken_off_beside_the_lower_bound() -> None:
    """Each pair and each answer is relieved of what lay in its own span; the lower bound itself stays."""
    books = ledger(2)
    one_update(books, 0, 1, 1.0)
    board = books.board(head(1))
    for receiver, came in enumerate((1.5, 1.125)):
        books.received(receiver, board, came)
    spans: list[tuple[float, float]] = []

    def relief(begin: Floats, end: Floats) -> Floats:
        spans.extend(np.broadcast(begin, end))
        return np.full(len(begin), 0.25)

    resolved = books.resolve(2.0, relief=relief, final=True)
    assert spans[:2] == [(1.001, 1.5), (1.001, 1.125)]
    assert resolved.latency_lower == pytest.approx([0.499, 0.124])
    assert resolved.latency_relieved == pytest.approx([0.249, 0.0])
    assert resolved.age_relieved == pytest.approx([0.249, 0.0])
    assert resolved.ack_relieved.tolist() == [0.0]


def test_a_board_that_never_came_is_certain_only_where_somebody_read() -> None:
    """Infinite at most for all; at least for a receiver that stayed, and 0 for one cut off, back late, or overfull."""
    books = ledger(4)
    one_update(books, 0, 1, 1.0)
    books.cut_off(1)
    books.cut_off(2)
    books.back(2, 1.5)
    books.received(3, books.board(head(0, 0)), 1.25, 0.0)  # its buffer may have been full
    resolved = books.resolve(2.0, final=True)
    assert resolved.latency.tolist() == [math.inf] * 4
    assert resolved.latency_lower.tolist() == [math.inf, 0.0, 0.0, 0.0]


def test_stamps_are_shifted_to_the_clock_of_the_run() -> None:
    """A system's clock an hour ahead changes no latency; one that was set leaves the moment, and no lower bound."""
    for shift, upper, lower in ((StampShift(3600.0), 0.5, 0.25), (StampShift(known=False), 1.0, 0.0)):
        books = ledger(1)
        send(books, 0, sender=0, intended=1.0, now=1.0, points=10)
        books.answered(0, "e", 1, durable=True, now=1.1, arrived=3601.1)
        books.received(0, books.board(head(1)), 3601.5, 3601.25)
        resolved = books.resolve(2.0, shift)
        assert (resolved.latency.tolist(), resolved.latency_lower.tolist()) == ([upper], [lower])


def test_an_update_nobody_answered_is_infinite_and_proves_nothing() -> None:
    """Its pairs are not dropped: no end at most, nothing at least, for each who took part when it was meant."""
    books = ledger(2)
    send(books, 0, sender=0, intended=1.0, now=1.0, points=10)
    resolved = books.resolve(2.0, final=True)
    assert (resolved.latency.tolist(), resolved.latency_lower.tolist()) == ([math.inf] * 2, [0.0] * 2)
    assert (resolved.ack.tolist(), resolved.ack_lower.tolist()) == ([math.inf], [0.0])


IMPORTS_NOTHING = """
import sys
from loadtest.measure.board_spread import BoardHead
from loadtest.measure.histogram import Histogram
from loadtest.measure.pair_ledger import Ledger
before = set(sys.modules)
books = Ledger()
books.enter(0, 0.0)
books.begin(0.0)
books.due(0, sender=0, intended=1.0, now=1.0, points=1)
books.sent(0, 1.0)
books.answered(0, "e", 1, durable=True, now=1.1)
books.received(0, books.board(BoardHead(1, 1, "e", 1000.0, 990.0)), 1.5)
assert Histogram(books.resolve(2.0, final=True).latency).count == 1
print(*sorted(set(sys.modules) - before))
"""


@pytest.mark.starts_process
def test_the_first_pairs_load_no_module() -> None:
    """What loads in the middle of a run stops the generator, and its scores are late: it was numpy's masked arrays."""
    told = subprocess.run([sys.executable, "-c", IMPORTS_NOTHING], capture_output=True, text=True, check=True)
    assert told.stdout.split() == []


def test_a_board_may_arrive_before_the_answer() -> None:
    """The receivers' boards are remembered until the sender learns its version."""
    books = ledger(2)
    send(books, 0, sender=0, intended=1.0, now=1.0, points=10)
    for receiver in range(2):
        books.received(receiver, books.board(head(1)), 1.5)
    assert not len(books.resolve(2.0).latency)
    for second in range(3, 12):
        books.resolve(float(second))
    books.answered(0, "e", 1, durable=True, now=12.0)
    assert books.resolve(12.0).latency.tolist() == [0.5, 0.5]


def test_boards_of_another_epoch_prove_nothing() -> None:
    """A higher version of another epoch does not bring the update; the update's own epoch does."""
    books = ledger(1)
    one_update(books, 0, 5, 1.0, epoch="one")
    books.received(0, books.board(head(9, epoch="two")), 2.0)
    assert not len(books.resolve(3.0).latency)
    books.received(0, books.board(head(5, epoch="one")), 4.0)
    assert books.resolve(5.0).latency.tolist() == [3.0]


def test_an_update_told_twice_counts_with_the_first_board_of_either() -> None:
    """An answer that is not durable waits for the durable one; the earliest board that satisfies either counts."""
    books = ledger(2)
    send(books, 0, sender=0, intended=1.0, now=1.0, points=10)
    books.answered(0, "e~own", 7, durable=False, now=1.1)
    books.received(0, books.board(head(7, epoch="e~own")), 1.2)
    assert not len(books.resolve(2.0).latency)
    assert books.waiting == 1
    books.answered(0, "e", 4, durable=True, now=2.5)
    for receiver in range(2):
        books.received(receiver, books.board(head(4, epoch="e")), 3.0)
    assert sorted(books.resolve(4.0).latency) == [pytest.approx(0.2), 2.0]
    assert books.counts.answered == 1


def test_a_pair_whose_epoch_ended_is_unresolved_and_not_lost() -> None:
    """Who is shown a later epoch instead can tell nothing by version; who is left in an earlier one has lost it."""
    books = ledger(3)
    one_update(books, 0, 5, 1.0, epoch="e")
    one_update(books, 1, 1, 1.1, epoch="f")
    books.received(0, books.board(head(5, epoch="e")), 1.2)
    books.received(0, books.board(head(1, epoch="f")), 1.3)
    books.received(1, books.board(head(1, epoch="f")), 1.3)
    assert sorted(books.resolve(2.0).latency) == pytest.approx([0.2, 0.2, 0.2])
    books.resolve(3.0, final=True)
    counts = books.counts
    # Receiver 1 went from e to f without seeing version 5; receiver 2 stayed where it was.
    assert (counts.pairs_owed, counts.pairs_received, counts.pairs_unresolved, counts.pairs_lost) == (6, 3, 1, 2)


def test_who_came_later_or_left_before_is_owed_nothing() -> None:
    """A receiver is owed the updates intended while it took part."""
    books = ledger(1)
    books.enter(1, 2.0)
    one_update(books, 0, 1, 1.5)
    one_update(books, 1, 2, 2.5)
    books.leave(0, 3.0)
    one_update(books, 2, 3, 3.5)
    for receiver in range(2):
        books.received(receiver, books.board(head(3, 3)), 4.0)
    books.resolve(5.0)
    assert books.counts.pairs_owed == 1 + 2 + 1


def test_the_warm_up_counts_nowhere() -> None:
    """Updates intended before the measured time leave no pair, no count and no latency, but their points count."""
    books = ledger(1, begins=10.0)
    one_update(books, 0, 1, 9.9)
    books.received(0, books.board(head(1)), 10.5)
    one_update(books, 1, 2, 10.0)
    books.received(0, books.board(head(2)), 10.6)
    assert books.resolve(12.0).latency == pytest.approx([0.6])
    assert (books.counts.updates, books.counts.pairs_owed, books.points[0]) == (1, 1, 20)


def test_what_no_board_brought_is_lost_after_a_while() -> None:
    """A pair without a board is lost when patience ends, and at once when the run is over."""
    books = ledger(2)
    one_update(books, 0, 1, 1.0)
    books.received(0, books.board(head(1)), 1.5)
    books.resolve(2.0)
    assert (books.counts.pairs_lost, books.open_pairs) == (0, 1)
    books.resolve(1.0 + PATIENCE + 1.0)
    assert (books.counts.pairs_lost, books.open_pairs) == (1, 0)
    one_update(books, 1, 2, 40.0)
    books.resolve(40.5, final=True)
    assert books.counts.pairs_lost == 3


def test_an_update_without_an_answer_is_unanswered_and_its_sender_doubtful() -> None:
    """It owes no pair, because nobody knows whether it counted; a late answer makes it count after all."""
    books = ledger(2)
    send(books, 0, sender=1, intended=1.0, now=1.0, points=50)
    books.resolve(2.0 + PATIENCE)
    assert (books.counts.unanswered, books.counts.pairs_owed, books.doubtful) == (1, 0, {1})
    assert books.answered(0, "e", 1, durable=True, now=40.0) == 39.0
    assert (books.counts.unanswered, books.counts.answered, books.points, books.doubtful) == (0, 1, {1: 50}, set())


def test_a_refused_update_is_owed_to_nobody() -> None:
    """A refusal ends an update: it is neither unanswered nor lost."""
    books = ledger(2)
    send(books, 0, sender=0, intended=1.0, now=1.0, points=50)
    books.refused(0)
    books.resolve(2.0, final=True)
    assert (books.counts.refused, books.counts.unanswered, books.counts.pairs_owed) == (1, 0, 0)


def test_a_missed_board_lowers_the_reach() -> None:
    """Versions that a receiver's boards jumped over are missed, though the state is right again."""
    books = ledger(2)
    for version in (1, 2, 3):
        number = books.board(head(version))
        books.received(0, number, float(version))
        if version != 2:
            books.received(1, number, float(version))
    books.resolve(4.0)
    assert (books.counts.versions_owed, books.counts.versions_missed) == (6, 1)


def test_the_board_after_a_skip_misses_nothing() -> None:
    """A board with `updates` 0 tells the whole state: the service skipped this receiver on purpose."""
    books = ledger(1)
    books.received(0, books.board(head(1)), 1.0)
    books.received(0, books.board(head(5, updates=0)), 2.0)
    books.received(0, books.board(head(7, updates=2)), 3.0)
    books.resolve(4.0)
    assert (books.counts.versions_owed, books.counts.versions_missed) == (7, 0)


def test_a_receiver_that_stays_behind_misses_the_rest() -> None:
    """What the final board has and a receiver never saw was missed."""
    books = ledger(2)
    number = books.board(head(1))
    books.received(0, number, 1.0)
    books.received(1, number, 1.0)
    books.received(0, books.board(head(4, 3)), 2.0)
    books.resolve(3.0)
    books.owe_rest("e", 4)
    assert (books.counts.versions_owed, books.counts.versions_missed) == (8, 3)
    assert books.holds("e", 4).tolist() == [True, False]


def test_skew_is_between_first_and_last_receiver() -> None:
    """A board's skew is known when it has reached whom it will reach, also across seconds; snapshots have none."""
    books = ledger(2)
    number = books.board(head(1))
    books.received(0, number, 1.9)
    books.resolve(2.0)
    books.received(1, number, 2.15)
    books.received(1, books.board(head(1, updates=0)), 2.2)
    books.resolve(3.0)
    resolved = books.resolve(6.0)
    assert resolved.skew == pytest.approx([0.25])
    assert (resolved.boards, resolved.board_updates, resolved.inside.tolist()) == (1, 1, [0.01])


def test_the_books_stay_small() -> None:
    """After a long run with all answered and shown, hardly anything is remembered."""
    books = ledger(3)
    for number in range(20_000):
        at = 1.0 + number * 0.01
        one_update(books, number, number + 1, at)
        board = books.board(head(number + 1))
        for receiver in range(3):
            books.received(receiver, board, at + 0.005)
        if number % 100 == 99:
            books.resolve(at + 0.006)
    assert books.counts.pairs_received == 60_000
    assert len(books._updates) <= 100
    assert sum(len(lot.receipts.time) for lot in books._receipts.kept_since(-math.inf)) < 3_000
    assert len(books._boards) < 10_000


@dataclass
class Story:
    """A run as it happened, for the ledger and for the naive enumeration."""

    updates: list[tuple[float, dict[str, int]]] = field(default_factory=list)  # intended, told
    boards: list[tuple[int, float, str, int]] = field(default_factory=list)  # receiver, time, epoch, version

    def naive(self, receivers: int, epochs: list[str]) -> tuple[list[float], int, int]:
        """Every pair, one by one: its latency, or that it is lost, or unresolved; `epochs` as they appeared."""
        latencies: list[float] = []
        lost = unresolved = 0
        for intended, told in self.updates:
            for receiver in range(receivers):
                came = [
                    time
                    for who, time, epoch, version in self.boards
                    if who == receiver and epoch in told and version >= told[epoch]
                ]
                if came:
                    latencies.append(min(came) - intended)
                    continue
                shown = [epoch for who, _, epoch, _ in self.boards if who == receiver]
                later = epochs[max(map(epochs.index, told)) + 1 :]
                if shown and shown[-1] in later:
                    unresolved += 1
                else:
                    lost += 1
        return sorted(latencies), lost, unresolved


@st.composite
def stories(draw: st.DrawFn) -> tuple[Story, int]:
    """Two epochs, some updates told in both, receivers that each miss some of the boards."""
    receivers = draw(st.integers(1, 4))
    story = Story()
    now = 1.0
    versions = {"a": 0, "b": 0}
    for _ in range(draw(st.integers(1, 25))):
        now += draw(st.sampled_from([0.01, 0.3, 1.1]))
        told: dict[str, int] = {}
        for epoch in draw(st.sampled_from([("a",), ("b",), ("a", "b")])):
            versions[epoch] += 1
            told[epoch] = versions[epoch]
        story.updates.append((now, told))
        for receiver in range(receivers):
            for epoch in told:
                if draw(st.booleans()):
                    story.boards.append((receiver, now + draw(st.floats(0.001, 0.009)), epoch, versions[epoch]))
    story.boards.sort(key=lambda board: board[1])
    return story, receivers


@settings(max_examples=150)
@given(stories(), st.integers(0, 10_000))
def test_bulk_resolution_equals_the_naive_enumeration(story_of: tuple[Story, int], seed: int) -> None:
    """Whatever arrives in whatever order of answers and boards, pairs and latencies are those of a double loop."""
    story, receivers = story_of
    random = np.random.default_rng(seed)
    books = ledger(receivers)
    # Answers come up to two seconds late, the second of two after the first.
    happenings: list[tuple[float, int, object]] = []
    for number, (intended, told) in enumerate(story.updates):
        happenings.append((intended, 0, number))
        delays = sorted(random.uniform(0, 2, len(told)))
        for place, (delay, item) in enumerate(zip(delays, told.items(), strict=True)):
            happenings.append((intended + delay, 1, (number, *item, place == len(told) - 1)))
    happenings += [(time, 2, (receiver, epoch, version)) for receiver, time, epoch, version in story.boards]
    happenings.sort(key=lambda one: (one[0], one[1]))
    latencies: list[float] = []
    epochs = ["e"]  # that of the boards before
    next_resolve = 2.0
    for time, kind, what in happenings:
        while time > next_resolve:
            latencies += books.resolve(next_resolve).latency.tolist()
            next_resolve += 1.0
        if kind and what[1] not in epochs:
            epochs.append(what[1])
        match kind, what:
            case 0, int(number):
                send(books, number, sender=0, intended=time, now=time, points=1)
            case 1, (int(number), str(epoch), int(version), bool(durable)):
                books.answered(number, epoch, version, durable=durable, now=time)
            case 2, (int(receiver), str(epoch), int(version)):
                books.received(receiver, books.board(head(version, epoch=epoch)), time)
    latencies += books.resolve(math.ceil(next_resolve), final=True).latency.tolist()
    expected, lost, unresolved = story.naive(receivers, epochs)
    assert sorted(latencies) == pytest.approx([*expected, *[math.inf] * (lost + unresolved)])
    assert (books.counts.pairs_lost, books.counts.pairs_unresolved) == (lost, unresolved)
    assert books.counts.pairs_owed == len(story.updates) * receivers


def test_the_age_of_a_screen_is_that_of_the_oldest_update_a_board_brings() -> None:
    """A board that brings three updates ends one age, that of the oldest; the newest board's is kept for an answer."""
    books = ledger(2)
    for number in range(3):
        one_update(books, number, number + 1, 1.0 + number)
    for receiver in range(2):
        books.received(receiver, books.board(head(3, 3)), 5.0 + receiver)
    # An answer that comes late is of the same board.
    send(books, 3, sender=0, intended=0.5, now=0.5, points=1)
    assert not len(books.resolve(6.5).age)
    books.answered(3, "e", 3, durable=True, now=7.0)
    one_update(books, 4, 4, 8.0)
    books.received(0, books.board(head(4)), 8.25)
    assert books.resolve(9.0).age.tolist() == [4.5]
    assert books.resolve(10.0, final=True).age.tolist() == [0.25, 5.5]


def test_a_gap_is_counted_once() -> None:
    """However many versions a board jumped over, it shows one gap."""
    books = ledger(1)
    books.received(0, books.board(head(1)), 1.0)
    books.received(0, books.board(head(5)), 2.0)
    books.received(0, books.board(head(6)), 3.0)
    books.resolve(4.0)
    assert (books.counts.gaps, books.counts.versions_missed) == (1, 3)


def test_who_has_no_place_yet_is_owed_nothing() -> None:
    """Boards may come before the join is answered: they are logged, and nothing is owed."""
    books = ledger(1)
    books.enter(1, math.inf)
    one_update(books, 0, 1, 1.0)
    for receiver in range(2):
        books.received(receiver, books.board(head(1)), 1.5)
    assert books.resolve(2.0).latency.tolist() == [0.5]
    assert (books.receivers, books.seen) == (1, 1)
    books.enter(1, 2.0)
    assert (books.receivers, books.seen) == (2, 2)


def test_who_leaves_is_owed_what_was_meant_before_until_it_is_shown() -> None:
    """`owes` follows an update from the moment it is sent, over its answer, to the receiver's board."""
    books = ledger(2)
    books.leave(1, 5.0)
    books.leave(1, 6.0)  # it has left already
    assert not books.owes(1)
    send(books, 0, sender=0, intended=5.5, now=5.5, points=1)
    assert not books.owes(1)
    send(books, 1, sender=0, intended=4.0, now=5.5, points=1)
    assert books.owes(1)
    books.answered(1, "e", 1, durable=True, now=5.6)
    books.resolve(5.7)
    assert books.owes(1)
    books.received(1, books.board(head(1)), 5.8)
    books.resolve(5.9)
    assert not books.owes(1)
    assert (books.counts.pairs_owed, books.counts.pairs_received, books.counts.pairs_lost) == (2, 1, 0)
