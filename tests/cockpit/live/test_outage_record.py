"""A Redis that goes and comes back, without a clock and without a Redis."""

from __future__ import annotations

from cockpit.live.live_state import BoardView, LiveState
from cockpit.live.outage_record import MARKS_KEPT, OPEN_KEPT, Moment, Outage, Outages
from cockpit.live.redis_card import outage_lines


def switched(outages: Outages, at: float) -> None:
    """Stop Redis at `at`, start it three seconds later; the boards follow."""
    outages.stop(at)
    outages.board(at + 0.05, degraded=True)
    outages.start(at + 3.0)
    outages.board(at + 3.75, degraded=False)


def test_the_moments_of_an_outage_are_kept_and_timed() -> None:
    """Boards that say nothing new leave no mark; the two waits are from what was asked to what was seen."""
    outages = Outages()
    outages.board(9.0, degraded=False)
    switched(outages, 10.0)
    outages.board(14.0, degraded=False)
    assert [(mark.at, mark.moment.label) for mark in outages.marks] == [
        (10.0, "stop"),
        (10.05, "noticed"),
        (13.0, "start"),
        (13.75, "whole again"),
    ]
    assert round(outages.last.noticed_after or 0, 2) == 0.05
    assert outages.last.whole_after == 0.75


def test_a_second_answer_confirms_the_first_once() -> None:
    """Only an answer that was not durable waits for a second one; repeats of either count once."""
    outages = Outages()
    outages.answer("before", durable=True)
    outages.stop(10.0)
    outages.board(10.1, degraded=True)
    for op_id in ("one", "two", "one"):
        outages.answer(op_id, durable=False)
    outages.answer("before", durable=True)
    assert (outages.last.alone, outages.last.confirmed) == (2, 0)
    outages.start(12.0)
    outages.answer("one", durable=True)
    outages.board(12.5, degraded=False)
    outages.answer("one", durable=True)
    outages.answer("two", durable=True)
    assert (outages.last.alone, outages.last.confirmed) == (2, 2)


def test_an_outage_begins_with_whatever_shows_it_first() -> None:
    """Redis that goes without being asked to is noticed by an answer or a board, and is an outage of its own."""
    outages = Outages()
    switched(outages, 10.0)
    outages.answer("one", durable=False)
    outages.board(20.1, degraded=True)
    assert outages.last == Outage(noticed_at=20.1, alone=1)
    outages.board(21.0, degraded=False)
    assert outages.last == Outage(noticed_at=20.1, whole_at=21.0, alone=1)
    assert outages.last.noticed_after is outages.last.whole_after is None


def test_a_stop_before_all_is_whole_forgets_no_answer() -> None:
    """Stopped again too early, what was answered alone is still counted and still confirmed later."""
    outages = Outages()
    outages.stop(10.0)
    outages.answer("one", durable=False)
    outages.start(11.0)
    outages.stop(11.1)
    outages.answer("two", durable=False)
    outages.start(12.0)
    outages.answer("one", durable=True)
    outages.answer("two", durable=True)
    assert (outages.last.alone, outages.last.confirmed) == (2, 2)


def test_a_late_answer_before_a_stop_is_no_part_of_the_outage() -> None:
    """A slow moment without an outage leaves nothing behind, but for what is not durable yet when Redis is stopped."""
    outages = Outages()
    outages.answer("slow", durable=False)
    outages.answer("slow", durable=True)
    outages.answer("open", durable=False)
    outages.stop(10.0)
    assert (outages.last.alone, outages.last.confirmed) == (1, 0)
    outages.board(10.1, degraded=True)
    outages.answer("open", durable=True)
    assert (outages.last.alone, outages.last.confirmed) == (1, 1)


def test_a_long_show_takes_no_more_memory() -> None:
    """Marks and open answers are bounded, whatever comes."""
    outages = Outages()
    for number in range(20):
        switched(outages, number * 10.0)
    outages.stop(300.0)
    for number in range(OPEN_KEPT + 5):
        outages.answer(str(number), durable=False)
    assert len(outages.marks) == MARKS_KEPT
    assert len(outages._open) == OPEN_KEPT
    assert outages.last.alone == OPEN_KEPT + 5


def test_a_view_has_the_marks_of_its_window() -> None:
    """The boards that the notebook takes make the marks; a render gets those of the last minute."""
    state = LiveState()
    state.outages.stop(99.0)
    state.take_board(BoardView("e", 1, degraded=True), at=100.0)
    state.take_board(BoardView("e", 0), at=100.5)  # older than the one shown
    state.take_board(BoardView("f", 1), at=130.0)
    view = state.view(159.5)
    assert [(mark.at, mark.moment) for mark in view.marks] == [(100.0, Moment.NOTICED), (130.0, Moment.WHOLE)]
    assert view.outage == Outage(stopped_at=99.0, noticed_at=100.0, whole_at=130.0)


def test_an_outage_is_described_in_words() -> None:
    """The card says how long it took, and what became of the scores; nothing before anything happened."""
    assert outage_lines(Outage()) == outage_lines(Outage(stopped_at=1.0)) == []
    assert outage_lines(Outage(1.0, 1.05, alone=1)) == [
        "noticed after <b>0.05 s</b>",
        "<b>1</b> score answered <i>durable: false</i>, <b>0</b> made durable since",
    ]
    assert outage_lines(Outage(1.0, 1.05, 4.0, 4.8)) == ["noticed after <b>0.05 s</b>, whole again after <b>0.80 s</b>"]
    assert outage_lines(Outage(noticed_at=1.0, whole_at=2.0)) == ["it went away by itself, it came back by itself"]
