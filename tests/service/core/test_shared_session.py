"""A shared session alone: what is queued, provisional and confirmed, and the epoch in which it is shown."""

from __future__ import annotations

from itertools import count

import pytest

from service.core.errors import Refused
from service.core.operation_state import CONFIRMED, QUEUED, QUEUED_PROVISIONAL, SENT, SENT_PROVISIONAL
from service.core.pn_counter import (
    Add,
    Applied,
    Name,
    Populate,
    Reset,
    SessionSnapshot,
    Stamp,
    WorkerRow,
    from_wire,
    to_wire,
)
from service.core.protocol import MAX_POINTS, MAX_TOTAL
from service.core.session import Answer, Overwritten, Restored, Scored, Session, SessionRules
from service.core.shared_session import MAX_BATCH, Behind, Lost, SharedSession

WORKER = "w"


@pytest.fixture
def shared() -> SharedSession:
    """One that was read: version 0 of epoch `e`."""
    suffixes = count()
    session = Session("S", "e", SessionRules(), created_at=0.0)
    shared = SharedSession(session, WORKER, lambda: str(next(suffixes)))
    shared.adopt(SessionSnapshot(Stamp("e"), 1, {}, {}), 0.0)
    return shared


def add(shared: SharedSession, points: int, op_id: str | None = None, since: float = 0.0) -> list[Answer]:
    answers: list[Answer] = []
    shared.add(Add("a", points, op_id, 1.5), since, answers.append)  # type: ignore[arg-type]
    return answers


def applied(shared: SharedSession, *, repeated: dict[int, int] | None = None) -> Applied:
    """The batch in flight, as if it had been applied with nothing between."""
    batch = shared.next_batch()
    assert batch is not None
    repeated = repeated or {}
    ops = [one.op for one in batch.pending]
    counted = sum(index not in repeated and not isinstance(op, Name) for index, op in enumerate(ops))
    adds = sum(index not in repeated and isinstance(op, Add) for index, op in enumerate(ops))
    known = shared.replica.stamp
    stamp = Stamp(known.epoch, known.version + counted, known.updates + adds)
    return Applied(WORKER, batch.seq, known.version, stamp, repeated, batch.text)


def of_another(shared: SharedSession, *ops, seq: int = 1) -> Applied:
    """A batch of another worker that follows what is known."""
    known = shared.replica.stamp
    stamp = Stamp(known.epoch, known.version + len(ops), known.updates + sum(isinstance(op, Add) for op in ops))
    return Applied("other", seq, known.version, stamp, {}, to_wire(ops))


def shown(shared: SharedSession) -> tuple[str, int, dict[str, int]]:
    return shared.session.epoch, shared.session.version, dict(shared.session.board.scores)


def test_operations_travel_as_they_are():
    """Times to the last digit, names in any script."""
    ops = [Add("a", -3, "op-00001", 1764037200.1234567), Add("b", 2, None, 0.1), Populate({"a": 1}), Reset(),
           Name("a", "Żółw 亀")]  # fmt: skip
    assert from_wire(to_wire(ops)) == ops


@pytest.mark.parametrize(
    "text",
    [
        "", "5", "{}", "[5]", '[["steal","a"]]', '[["add","a",5,"op-00001"]]', '[["add","<b>",5,"","0"]]',
        '[["add","a","5","","0"]]', '[["add","a",true,"","0"]]', '[["add","a",5,"short","0"]]',
        '[["add","a",5,"",0]]', '[["add","a",5,"","nan"]]', '[["add","a",1e13,"","0"]]',
        '[["add","a",9999999999999,"","0"]]', '[["populate",[["ä",5]]]]', '[["populate",[["a"]]]]',
        '[["populate",[["a",null]]]]', '[["populate",5]]', '[["reset",1]]', '[["name","a b","c"]]', '[["name","a",5]]',
    ],
)  # fmt: skip
def test_operations_from_elsewhere_are_checked(shared: SharedSession, text: str):
    """Ids, numbers and times; a batch of such operations changes nothing, now or when the session is read."""
    with pytest.raises(ValueError, match=r"expected|EOF|invalid"):
        from_wire(text.encode())
    before = shown(shared)
    for since in (0, 4):
        with pytest.raises(ValueError, match=r"expected|EOF|invalid"):
            shared.take(Applied("other", 1, since, Stamp("e", since + 1, 1), {}, text.encode()), 0.0)
    assert shown(shared) == before
    unread = Applied("other", 1, 0, Stamp("e", 1, 1), {}, text.encode())
    shared.adopt(SessionSnapshot(Stamp("e", 1, 1), 1, {"other": WorkerRow(1, {"a": 9})}, {}, [unread]), 0.0)
    assert shown(shared) == ("e", 1, {"a": 9})


def test_a_name_from_elsewhere_is_one_that_may_be_shown():
    """Else it is the id's."""
    ops = from_wire(to_wire([Name("alice", "\u202ekcab"), Name("b", " Bär ")]))
    assert ops == [Name("alice", "Alice"), Name("b", "Bär")]


def test_an_update_is_shown_and_answered_when_it_is_confirmed(shared: SharedSession):
    """Not before; then in the epoch and version of everybody."""
    answers = add(shared, 5)
    assert (answers, shown(shared)) == ([], ("e", 0, {}))
    (event,) = shared.take(applied(shared), 0.0)
    assert isinstance(event, Scored)
    assert shown(shared) == ("e", 1, {"a": 5})
    assert [(one.score, one.version, one.epoch, one.durable) for one in answers] == [(5, 1, "e", True)]
    assert len(shared) == 0


def test_the_batch_in_flight_stays_the_same_and_alone(shared: SharedSession):
    """Byte for byte, whatever comes after it; batches are bounded."""
    add(shared, 1)
    first = shared.next_batch()
    for _ in range(MAX_BATCH + 1):
        add(shared, 1)
    assert shared.next_batch() is first
    shared.take(applied(shared), 0.0)
    second = shared.next_batch()
    assert second is not None
    assert (second.seq, len(second.pending)) == (2, MAX_BATCH)


def test_a_provisional_update_is_shown_in_an_epoch_of_its_own(shared: SharedSession):
    """Until it is confirmed: then it is answered again, and the board is everybody's."""
    answers = add(shared, 5, since=1.0)
    assert shared.answer_provisionally(0.9) == []
    (event,) = shared.answer_provisionally(1.0)
    assert isinstance(event, Scored)
    assert shown(shared) == ("e~0", 1, {"a": 5})
    shared.take(of_another(shared, Add("b", 3, None, 0.0)), 0.0)
    assert shown(shared) == ("e~0", 2, {"a": 5, "b": 3})
    assert shared.alone
    assert shared.take(applied(shared), 0.0) == [Restored()]
    assert shown(shared) == ("e", 2, {"a": 5, "b": 3})
    assert [(one.durable, one.epoch, one.version) for one in answers] == [(False, "e~0", 1), (True, "e", 2)]


def test_each_private_time_has_an_epoch_of_its_own(shared: SharedSession):
    """Versions of one must not compare with those of the other."""
    epochs = []
    for _ in range(2):
        add(shared, 1)
        shared.answer_provisionally(9.0)
        epochs.append(shared.session.epoch)
        shared.take(applied(shared), 0.0)
    assert epochs == ["e~0", "e~1"]


def test_a_repetition_that_redis_knew_is_taken_back(shared: SharedSession):
    """It was shown here, and counted elsewhere before."""
    answers = add(shared, 5, "op-00001")
    shared.answer_provisionally(9.0)
    add(shared, 1)
    shared.answer_provisionally(9.0)
    shared.take(applied(shared, repeated={0: 7}), 0.0)
    assert shown(shared)[2] == {"a": 1} or shared.alone
    while len(shared):
        shared.take(applied(shared), 0.0)
    assert shown(shared) == ("e", 1, {"a": 1})
    assert answers[-1].points == 7
    assert add(shared, 9, "op-00001")[0].points == 7


def test_a_repetition_of_what_waits_waits_with_it(shared: SharedSession):
    """One operation, two answers each."""
    first, second = add(shared, 5, "op-00001"), add(shared, 6, "op-00001")
    shared.answer_provisionally(9.0)
    third = add(shared, 6, "op-00001")
    shared.take(applied(shared), 0.0)
    assert [len(answers) for answers in (first, second, third)] == [2, 2, 2]
    assert {one.points for one in first + second + third} == {5}
    assert shown(shared)[2] == {"a": 5}


def test_a_provisional_reset_hides_what_was_before_it_and_nothing_after(shared: SharedSession):
    """Whatever is confirmed meanwhile."""
    shared.take(of_another(shared, Add("b", 3, None, 0.0)), 0.0)
    add(shared, 1)
    shared.next_batch()
    shared.answer_provisionally(9.0)
    shared.overwrite(Reset(), 0.0, lambda _: None)
    add(shared, 2)
    events = shared.answer_provisionally(9.0)
    assert [type(event) for event in events] == [Overwritten, Scored]
    assert shown(shared)[2] == {"a": 2}
    shared.take(applied(shared), 0.0)
    assert shown(shared)[2] == {"a": 2}
    shared.take(applied(shared), 0.0)
    assert shown(shared) == ("e", 4, {"a": 2})
    assert shared.replica.generation == 2


def test_a_populate_sets_whatever_was_scored_before_it(shared: SharedSession):
    """Provisional first, and then confirmed on top of more."""
    shared.overwrite(Populate({"a": 10}), 0.0, lambda _: None)
    shared.answer_provisionally(9.0)
    assert shown(shared)[2] == {"a": 10}
    shared.take(of_another(shared, Add("a", 3, None, 0.0)), 0.0)
    shared.take(applied(shared), 0.0)
    assert shown(shared)[2] == {"a": 10}


def test_what_does_not_follow_is_not_taken(shared: SharedSession):
    """A gap, another epoch; but of the ids in it is known when it has been read."""
    missed = Applied("other", 2, 4, Stamp("e", 5, 5), {}, to_wire([Add("a", 5, "op-00001", 0.0)]))
    with pytest.raises(Behind):
        shared.take(missed, 0.0)
    with pytest.raises(Behind):
        shared.take(Applied("other", 1, 0, Stamp("f", 1, 1), {}, to_wire([])), 0.0)
    events = shared.adopt(SessionSnapshot(Stamp("e", 5, 5), 1, {"other": WorkerRow(2, {"a": 9})}, {"a": "Ann"}), 0.0)
    assert Restored(5) in events
    assert shown(shared) == ("e", 5, {"a": 9})
    assert shared.session.username("a") == "Ann"
    assert add(shared, 1, "op-00001")[0].points == 5
    assert shared.take(missed, 0.0) == []


def test_what_was_read_confirms_the_batch_that_it_holds(shared: SharedSession):
    """Its answer got lost, its points did not; they are counted as updates once."""
    unanswered, answered = add(shared, 5), add(shared, 2)
    shared.next_batch()
    shared.answer_provisionally(0.0)
    del answered[:], unanswered[:]
    assert shared.adopt(SessionSnapshot(Stamp("e", 2, 2), 1, {WORKER: WorkerRow(1, {"a": 7})}, {}), 0.0) == [
        Restored(0)
    ]
    assert shown(shared) == ("e", 2, {"a": 7})
    assert [one[0].durable for one in (unanswered, answered)] == [True, True]
    assert len(shared) == 0
    add(shared, 1)
    shared.next_batch()
    assert shared.adopt(SessionSnapshot(Stamp("e", 3, 3), 1, {WORKER: WorkerRow(2, {"a": 8})}, {}), 0.0) == [
        Restored(1)
    ]


def test_a_batch_that_did_not_arrive_is_given_up_by_number(shared: SharedSession):
    """Its number is passed over, and what was counted elsewhere meanwhile is not sent again."""
    first, second = add(shared, 5, "op-00001"), add(shared, 2)
    shared.next_batch()
    empty = SessionSnapshot(Stamp("f"), 1, {}, {})
    assert shared.lost(empty) == [Lost(WORKER, 2, 1)]
    heard = Applied("other", 1, 0, Stamp("f", 1, 1), {}, to_wire([Add("a", 5, "op-00001", 0.0)]))
    rows = {WORKER: WorkerRow(2), "other": WorkerRow(1, {"a": 5})}
    shared.adopt(SessionSnapshot(Stamp("f", 2, 1), 1, rows, {}, [heard]), 0.0)
    assert [(one.points, one.durable, one.version) for one in first] == [(5, True, 2)]
    assert (second, shown(shared)) == ([], ("f", 2, {"a": 5}))
    batch = shared.next_batch()
    assert batch is not None
    assert (batch.seq, [one.op.points for one in batch.pending]) == (3, [2])
    shared.take(applied(shared), 0.0)
    assert shown(shared) == ("f", 3, {"a": 7})


def test_an_operation_moves_through_its_table_of_states(shared: SharedSession):
    """Sent, answered provisionally, given up with its batch, sent again, confirmed."""
    add(shared, 5)
    batch = shared.next_batch()
    assert batch is not None
    (one,) = batch.pending
    states = [one.state]
    shared.answer_provisionally(9.0)
    states.append(one.state)
    shared.adopt(SessionSnapshot(Stamp("f"), 1, {WORKER: WorkerRow(2)}, {}), 0.0)
    states.append(one.state)
    shared.next_batch()
    states.append(one.state)
    shared.take(applied(shared), 0.0)
    states.append(one.state)
    assert states == [SENT, SENT_PROVISIONAL, QUEUED_PROVISIONAL, SENT_PROVISIONAL, CONFIRMED]


def test_another_workers_count_confirms_what_waits_in_the_queue(shared: SharedSession):
    """It was never sent."""
    add(shared, 1)
    shared.next_batch()
    add(shared, 5, "op-00001")
    (one,) = shared._queue
    assert one.state is QUEUED
    shared.take(of_another(shared, Add("a", 5, "op-00001", 0.0)), 0.0)
    assert one.state is CONFIRMED


def test_what_another_counts_first_is_not_sent(shared: SharedSession):
    """It had been queued here, and answered provisionally."""
    add(shared, 1)
    shared.next_batch()
    answers = add(shared, 5, "op-00001")
    shared.answer_provisionally(9.0)
    shared.take(of_another(shared, Add("a", 5, "op-00001", 0.0)), 0.0)
    assert shown(shared)[2] == {"a": 6}
    assert [one.durable for one in answers] == [False, True]
    shared.take(applied(shared), 0.0)
    assert (shown(shared), len(shared)) == (("e", 2, {"a": 6}), 0)


def test_rows_that_are_known_better_are_named(shared: SharedSession):
    """By their sequence, or all of them where a reset was forgotten."""
    shared.take(of_another(shared, Add("b", 3, None, 0.0)), 0.0)
    assert shared.replica.newer_than(SessionSnapshot(Stamp("f"), 1, {}, {})) == ["other"]
    assert shared.replica.newer_than(SessionSnapshot(Stamp("f"), 1, {"other": WorkerRow(1)}, {})) == []
    shared.take(of_another(shared, Reset(), seq=2), 0.0)
    assert shared.replica.newer_than(SessionSnapshot(Stamp("f"), 1, {"other": WorkerRow(9)}, {})) == ["other"]


def test_names_are_kept_for_who_is_ranked(shared: SharedSession):
    """Once, and anew after a reset; the name that everybody would guess is not."""
    shared.session.join("a", "Ann")
    add(shared, 1)
    add(shared, 1)
    batch = shared.next_batch()
    assert batch is not None
    assert [type(one.op) for one in batch.pending] == [Name, Add, Add]
    shared.take(applied(shared), 0.0)
    assert shown(shared)[1] == 2
    shared.take(of_another(shared, Reset()), 0.0)
    add(shared, 1)
    assert [type(one.op) for one in shared.next_batch().pending] == [Name, Add]


def test_a_total_beyond_the_bound_is_refused_with_what_waits_counted(shared: SharedSession):
    """Nothing is queued then."""
    shared.take(of_another(shared, Add("a", MAX_TOTAL - 2 * MAX_POINTS, None, 0.0)), 0.0)
    add(shared, MAX_POINTS)
    add(shared, MAX_POINTS)
    with pytest.raises(Refused):
        add(shared, 1, "op-00001")
    assert len(shared) == 2
