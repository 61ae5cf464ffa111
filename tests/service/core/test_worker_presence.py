"""Who is connected where, told by messages of which some get lost."""

from __future__ import annotations

import json

import pytest

from service.core.worker_presence import SILENCE, Came, Presence, Went


@pytest.fixture
def one() -> Presence:
    return Presence("one")


@pytest.fixture
def two() -> Presence:
    return Presence("two")


def tell(sender: Presence, message: list[object], hearer: Presence, now: float = 0.0):
    """Carry the message as it is carried, and an answer back and forth, until there is none."""
    changes, answer = hearer.hear(json.loads(json.dumps(message)), now)
    if answer is None:
        return changes
    _, reply = sender.hear(answer, now)
    return changes if reply is None else changes + hearer.hear(reply, now)[0]


def test_changes_are_told_once(one: Presence, two: Presence):
    """Several connections of a user are one, and what came to nothing is told as nothing."""
    tell(one, one.beat(), two)
    for _ in range(2):
        one.enter("S", "a", "Ann")
    assert tell(one, one.changes(), two) == [Came("S", "a", "Ann")]
    one.exit("S", "a")
    assert not one.changed
    one.call("S", "a", "Anna")
    assert tell(one, one.changes(), two) == [Came("S", "a", "Anna", again=True)]
    one.exit("S", "a")
    assert tell(one, one.changes(), two) == [Went("S", "a")]
    one.enter("S", "b", "Bob")
    one.exit("S", "b")
    assert tell(one, one.changes(), two) == []


def test_a_lost_message_is_noticed_by_the_next_change_or_beat(one: Presence, two: Presence):
    """The roster then says it all."""
    one.enter("S", "a", "Ann")
    tell(one, one.changes(), two)
    one.exit("S", "a")
    one.enter("S", "b", "Bob")
    one.changes()  # lost
    assert set(tell(one, one.beat(), two)) == {Went("S", "a"), Came("S", "b", "Bob")}
    one.enter("S", "c", "Cid")
    one.changes()  # lost
    one.enter("S", "d", "Dee")
    assert set(tell(one, one.changes(), two)) == {Came("S", "c", "Cid"), Came("S", "d", "Dee")}


def test_changes_that_the_roster_told_already_change_nothing(one: Presence, two: Presence):
    """The two may overlap."""
    one.enter("S", "a", "Ann")
    assert tell(one, one.roster(), two) == [Came("S", "a", "Ann")]
    assert tell(one, one.changes(), two) == []


def test_a_newcomer_asks_everybody(one: Presence, two: Presence):
    """And nobody answers a question that is for somebody else."""
    one.enter("S", "a", "Ann")
    _, roster = one.hear(two.question("*"), 0.0)
    assert roster is not None
    assert two.hear(roster, 0.0)[0] == [Came("S", "a", "Ann")]
    assert one.hear(two.question("three"), 0.0) == ([], None)


def test_who_stops_or_falls_silent_is_gone(one: Presence, two: Presence):
    """With all the users; a time in which nobody could be heard does not count."""
    one.enter("S", "a", "Ann")
    tell(one, one.roster(), two, now=0.0)
    assert two.expire(SILENCE) == []
    two.excuse(SILENCE)
    assert two.expire(2 * SILENCE) == []
    assert two.expire(2 * SILENCE + 0.1) == [Went("S", "a")]
    tell(one, one.roster(), two)
    assert two.hear(one.goodbye(), 0.0)[0] == [Went("S", "a")]
    assert list(two.elsewhere("S")) == []


def test_watchers_are_known_and_are_no_users(one: Presence, two: Presence):
    """By a change, by a roster, until the last is gone, or their worker."""
    for _ in range(2):
        one.watch("S")
    assert one.watched("S")
    assert tell(one, one.changes(), two) == []
    assert two.watched("S")
    assert list(two.elsewhere("S")) == []
    one.unwatch("S")
    assert not one.changed
    one.unwatch("S")
    assert tell(one, one.changes(), two) == []
    assert not one.watched("S")
    assert not two.watched("S")
    one.watch("T")
    assert tell(one, one.roster(), two) == []
    assert two.watched("T")
    assert two.hear(one.goodbye(), 0.0)[0] == []
    assert not two.watched("T")


def test_the_own_messages_change_nothing(one: Presence):
    """Everybody hears everything, also what it said itself."""
    one.enter("S", "a", "Ann")
    for message in (one.roster(), one.beat(), one.question("*"), one.changes(), one.goodbye()):
        assert one.hear(message, 0.0) == ([], None)


def test_what_is_no_message_about_presence_is_refused(one: Presence):
    """With what came."""
    with pytest.raises(ValueError, match="nonsense"):
        one.hear(["nonsense", "two"], 0.0)
