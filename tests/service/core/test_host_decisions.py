"""What a host decides: the same in whatever order it is heard, and what it does to a session."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from service.core.errors import ErrorCode, Refused
from service.core.host_decisions import (
    FREEZE,
    HIDDEN,
    LOCK,
    NAME,
    PODIUM,
    REMOVED,
    Decision,
    Decisions,
    HostDecisions,
    about,
    from_stored,
    from_wire,
    to_wire,
)
from service.core.session import Removed, Renamed, Restored, Scored, Session, SessionRules, Staged

THINGS = {
    LOCK: st.none() | st.lists(st.sampled_from(["a", "b"]), max_size=2),
    PODIUM: st.booleans(),
    about(HIDDEN, "a"): st.booleans(),
    about(REMOVED, "a"): st.booleans(),
    about(NAME, "a"): st.sampled_from(["Ann", "Zoë"]),
}
ONE = st.sampled_from(list(THINGS)).flatmap(
    lambda key: st.tuples(
        st.just(key), st.builds(Decision, st.integers(1, 4), st.sampled_from(["w1", "w2"]), THINGS[key])
    )
)


def unique(decisions: list[tuple[str, Decision]]) -> list[tuple[str, Decision]]:
    """A worker decides once on a thing in a turn."""
    return list({(key, one.turn, one.worker): (key, one) for key, one in decisions}.values())


@given(st.lists(ONE, max_size=8).map(unique), st.randoms())
def test_decisions_may_come_in_any_order_and_twice(decisions: list[tuple[str, Decision]], dice) -> None:
    """All who have heard the same hold the same."""
    other = decisions * 2
    dice.shuffle(other)
    one_worker, another = HostDecisions(), HostDecisions()
    for order, host in ((decisions, one_worker), (other, another)):
        for key, one in order:
            host.merge({key: one})
    for name in ("all", "unshown", "locked", "frozen", "names", "podium"):
        assert getattr(one_worker, name) == getattr(another, name)


@given(st.lists(ONE, max_size=8).map(dict))
def test_decisions_travel_and_are_stored_as_they_are(decisions: Decisions) -> None:
    """What is written is read again, between workers and in Redis."""
    assert from_wire(to_wire(decisions)) == decisions
    assert from_stored({key: one.text for key, one in decisions.items()}) == decisions


@pytest.mark.parametrize(
    "odd",
    [
        ["lock", 1, "w", ["a b"]], ["lock:a", 1, "w", None], ["name:a", 1, "w", "a\u202eb"], ["name:a", 1, "w", " x "],
        ["hidden:", 1, "w", True], ["hidden:a", -1, "w", True], ["hidden:a", 1, "a b", True], ["hidden:a", 1, "w", 1],
        ["freeze", 1, "w", {"version": 1}], ["colour", 1, "w", "red"], ["lock", "1", "w", None], ["lock"], 5,
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_left_out(odd: object) -> None:
    """Whoever reaches Redis can write there; the rest of what was decided holds."""
    good = ["podium", 1, "w", True]
    assert from_wire(to_json([odd, good])) == {"podium": Decision(1, "w", True)}
    assert from_stored({"lock": b"nonsense", "hidden:a": to_json(5), "podium": to_json(good[1:])}).keys() == {"podium"}
    with pytest.raises(ValueError, match="expected a list of decisions"):
        from_wire(b"{}")


def session() -> Session:
    """Three players with 30, 20 and 10 points; `c` is connected."""
    made = Session("S", "e", SessionRules(max_players=5), 0.0)
    made.join("c", "Carl")
    for user, points in (("a", 30), ("b", 20), ("c", 10)):
        made.score(user, points, None, 0.0)
    return made


def decide(made: Session, **values: object) -> list[object]:
    """Names of players come after an underscore: `hidden_a`."""
    keys = {key.replace("_", ":"): value for key, value in values.items()}
    return made.follow(made.host.decide("w", keys))


def ranks(made: Session) -> dict[str, int]:
    return {entry.user_id: entry.rank for entry in made.entries(10)}


@pytest.mark.parametrize("how", ["hidden", "removed"])
def test_a_player_who_is_not_shown_leaves_no_gap(how: str) -> None:
    """The others move up; the player goes on counting, unranked, and comes back with all points."""
    made = session()
    assert Restored() in decide(made, **{f"{how}_a": True})
    assert ranks(made) == {"b": 1, "c": 2}
    version = made.version
    answer, events = made.score("a", 5, "op-number-1", 1.0)
    assert (answer.score, answer.rank, answer.total_players, answer.version) == (35, None, 2, version + 1)
    assert events == [Restored(1)]  # a board is due, and names nobody
    assert made.score("a", 5, "op-number-1", 1.0)[0].score == 35
    decide(made, **{f"{how}_a": False})
    assert ranks(made) == {"a": 1, "b": 2, "c": 3}
    assert isinstance(made.score("a", 1, None, 2.0)[1][0], Scored)


def test_all_that_sets_scores_knows_who_is_not_shown() -> None:
    """Populate, reset, and a reading of what other workers counted."""
    made = session()
    decide(made, hidden_alice=True)
    made.populate()
    assert "alice" not in ranks(made)
    assert made.total("alice") == 145
    assert made.show({"alice": 1, "b": 2})
    assert not made.show({"alice": 1, "b": 2})
    assert (ranks(made), made.total("alice")) == ({"b": 1}, 1)
    made.reset()
    assert (ranks(made), made.total("alice")) == ({}, None)
    made.board.check()


def test_a_removed_player_may_not_join() -> None:
    """Until the host shows the player again."""
    made = session()
    assert decide(made, removed_c=True) == [Restored(), Removed("c")]
    with pytest.raises(Refused) as refused:
        made.check_join("c")
    assert refused.value.code is ErrorCode.REMOVED
    decide(made, removed_c=False)
    made.check_join("c")


def test_a_locked_session_lets_nobody_new_in() -> None:
    """Who has joined comes back, also who has left without a score; a lock that was decided elsewhere knows them."""
    made = session()
    made.join("d", None)
    made.leave("d", 1.0)
    assert decide(made, lock=made.everybody) == [Staged()]
    elsewhere = Session("S", "e", SessionRules(), 0.0)
    elsewhere.follow(made.host.all)
    for one, user in itertools.product((made, elsewhere), ("a", "b", "c", "d")):
        one.check_join(user)
    for one in (made, elsewhere):
        with pytest.raises(Refused, match="is locked") as refused:
            one.check_join("new")
        assert refused.value.code is ErrorCode.SESSION_FULL
    decide(made, lock=None)
    made.check_join("new")


def test_a_name_that_the_host_gave_stays() -> None:
    """Whatever later joins say; before, and after the player has left."""
    made = session()
    assert decide(made, name_c="Caroline") == [Renamed("c")]
    assert made.rename("c", "Rude") == []
    assert [event for event in made.admit("c", "Ruder") if isinstance(event, Renamed)] == []
    made.leave("c", 1.0)
    (left,) = made.leave("c", 1.0)
    assert (left.username, made.username("c")) == ("Caroline", "Caroline")


def test_a_later_decision_has_a_later_turn() -> None:
    """Also at a worker that has only heard of the earlier one."""
    made, elsewhere = session(), session()
    decide(made, podium=True)
    elsewhere.follow(made.host.all)
    decide(elsewhere, podium=False)
    made.follow(elsewhere.host.all)
    assert not made.host.podium
    assert made.is_of_use


def test_a_board_is_frozen_as_it_was() -> None:
    """With the rows that the decision carries, wherever they come from."""
    made = session()
    rows = [entry.model_dump(by_alias=True) for entry in made.entries(1)]
    board = {"version": 3, "epoch": "e", "leaderboard": rows, "totalPlayers": 3, "totalParticipants": 1}
    decide(made, freeze=board)
    made.score("c", 100, None, 1.0)
    assert from_wire(to_wire(made.host.all))[FREEZE].value == board
    assert made.host.frozen is not None
    assert [entry.user_id for entry in made.host.frozen.leaderboard] == ["a"]
    decide(made, freeze=None)
    assert made.host.frozen is None
