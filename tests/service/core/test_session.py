"""The rules of one session, without sockets or clocks."""

from __future__ import annotations

import pytest

from service.core.errors import ErrorCode, Refused
from service.core.session import OP_MEMORY, Arrived, Left, OpMemory, Renamed, Session, SessionRules


def new_session(**rules: object) -> Session:
    return Session("S", "e", SessionRules(**rules), created_at=0.0)


def test_several_connections_are_one_participant():
    """Only the first arrives and only the last leaves."""
    session = new_session()
    assert session.join("a", None) == [Arrived("a", "a", 1)]
    assert session.join("a", None) == []
    assert session.leave("a", 1.0) == []
    assert session.leave("a", 2.0) == [Left("a", "a", 0)]
    assert session.empty_since == 2.0


def test_the_last_join_names_the_user():
    """A join without a name names by default."""
    session = new_session()
    session.join("bob", "Robert")
    assert session.join("bob", None) == [Renamed("bob")]
    assert session.username("bob") == "Bob"


def test_a_repeated_op_counts_nothing_and_keeps_its_first_points():
    """The second answer has the first points and the present score."""
    session = new_session()
    session.join("a", None)
    session.score("a", 5, "op-00001", 0.0)
    session.score("a", 7, None, 0.0)
    answer, events = session.score("a", 100, "op-00001", 1.0)
    assert (answer.points, answer.score, answer.version, events) == (5, 12, 2, [])


def test_the_same_op_id_of_two_users_is_two_ops():
    """Ids are per session and user."""
    session = new_session()
    for user in ("a", "b"):
        session.join(user, None)
        session.score(user, 5, "op-00001", 0.0)
    assert dict(session.board.scores) == {"a": 5, "b": 5}


def test_a_refused_update_uses_up_no_id():
    """The same id counts once there is room for it."""
    session = new_session()
    session.join("a", None)
    session.board.place("a", 10**12)
    with pytest.raises(Refused) as caught:
        session.score("a", 1, "op-00001", 0.0)
    assert (caught.value.code, caught.value.op_id, session.version) == (ErrorCode.LIMIT, "op-00001", 0)
    session.board.place("a", 0)
    assert session.score("a", 1, "op-00001", 0.0)[0].score == 1


@pytest.mark.parametrize("age", [0.0, OP_MEMORY / 2, OP_MEMORY])
def test_an_op_is_remembered_for_at_least_its_span(age: float):
    """Whatever else happens in between, five minutes later the id is still known."""
    memory = OpMemory(0.0)
    memory.remember("a", "op-00001", 5, 299.0)
    for second in range(int(age)):
        memory.remember("a", f"other-{second:05}", 1, 299.0 + second)
    assert memory.recall("a", "op-00001") == 5


def test_ops_are_forgotten_in_the_end():
    """Memory is bounded: two spans later the ids are gone, also without traffic."""
    memory = OpMemory(0.0)
    memory.remember("a", "op-00001", 5, 0.0)
    memory.forget(2 * OP_MEMORY)
    memory.forget(2 * OP_MEMORY + 1)
    assert len(memory) == 0


def test_a_full_session_refuses_newcomers_alone():
    """Who is ranked or connected may come back."""
    session = new_session(max_players=2)
    session.join("a", None)
    session.score("a", 1, None, 0.0)
    session.leave("a", 0.0)
    session.join("b", None)
    with pytest.raises(Refused) as caught:
        session.join("c", None)
    assert caught.value.code is ErrorCode.SESSION_FULL
    session.join("a", None)


def test_who_never_scored_is_forgotten_on_leaving():
    """A session does not collect the names of passers-by."""
    session = new_session(max_players=1)
    session.join("a", None)
    session.leave("a", 0.0)
    session.join("b", None)


def test_reset_keeps_names_and_connections_of_who_is_here():
    """Scores go, people stay."""
    session = new_session()
    session.join("a", "Ann")
    session.score("a", 1, None, 0.0)
    session.populate()
    session.reset()
    assert (len(session.board), session.participants, session.username("a"), session.version) == (0, 1, "Ann", 3)
    session.leave("a", 0.0)


def test_populate_sets_and_touches_nobody_else():
    """Twice gives the same board."""
    session = new_session()
    session.join("zed", None)
    session.score("zed", 1, None, 0.0)
    session.join("eve", "Evelyn")
    session.score("eve", 1000, None, 0.0)
    session.populate()
    first = session.entries(10)
    session.populate()
    assert session.entries(10) == first
    assert [(row.username, row.score) for row in first] == [
        ("Alice", 145), ("Bob", 132), ("Charlie", 128), ("Diana", 115), ("Evelyn", 98), ("Frank", 87), ("zed", 1)
    ]  # fmt: skip
