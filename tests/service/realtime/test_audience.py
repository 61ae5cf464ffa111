"""Sending to all sockets of a session."""

from __future__ import annotations

import json

import pytest

from service.core.session import Session, SessionRules
from service.metrics import Metrics
from service.realtime import audience as audience_module
from service.realtime.audience import Audience, Member
from service.server.outbound import OutgoingBatch, Outlet

BOARD = OutgoingBatch(b'{"type":"board"}')


class RecordingOutlet(Outlet):
    """Keeps what it was given; it is full when the test says so."""

    def __init__(self) -> None:
        super().__init__(self.take)
        self.sent: list[tuple[bytes, ...]] = []

    def take(self, wire: bytes) -> int:
        self.sent.append((wire,))
        return len(wire)

    def send(self, batch: OutgoingBatch, more: OutgoingBatch | None = None) -> None:
        self.sent.append(batch.texts + (() if more is None else more.texts))

    def finish(self, batch: OutgoingBatch, taken: int) -> None:
        raise AssertionError("it takes everything")

    async def close(self, code) -> None:
        self.end()

    def fill(self, full: bool = True) -> None:
        self._set_writable(not full)


@pytest.fixture
def session() -> Session:
    session = Session("S", "e", SessionRules(), created_at=0.0)
    for user, points in (("alice", 30), ("bob", 20)):
        session.join(user, None)
        session.score(user, points, None, 0.0)
    return session


def members_of(audience: Audience, *users: str | None, catch_up=lambda _member: None) -> list[Member]:
    members = [Member(RecordingOutlet(), user) for user in users]
    for member in members:
        audience.add(member, catch_up)
    return members


async def test_a_socket_that_is_full_is_passed_over_and_catches_up():
    """It gets nothing while it is full, and is named once when it drains; the others get everything."""
    audience, drained = Audience(Metrics()), []
    slow, fast = members_of(audience, None, None, catch_up=drained.append)
    slow.outlet.fill()
    for _ in range(3):
        await audience.send(BOARD, None)
    assert (len(slow.outlet.sent), len(fast.outlet.sent)) == (0, 3)
    slow.outlet.fill(False)
    assert drained == [slow]
    await audience.send(BOARD, None)
    assert len(slow.outlet.sent) == 1


async def test_a_removed_member_gets_nothing():
    """Neither a board nor the news that its socket drained."""
    audience, drained = Audience(Metrics()), []
    (member,) = members_of(audience, None, catch_up=drained.append)
    member.outlet.fill()
    await audience.send(BOARD, None)
    audience.remove(member)
    member.outlet.fill(False)
    await audience.send(BOARD, None)
    assert (drained, member.outlet.sent, len(audience)) == ([], [], 0)


async def test_members_that_go_while_the_loop_is_free_are_left_out(monkeypatch):
    """A fan-out in several parts looks again, after each, at who is still there and keeps up."""
    monkeypatch.setattr(audience_module, "YIELD_EVERY", 2)
    audience = Audience(Metrics())
    members = members_of(audience, *[None] * 6)
    order: list[Member] = []
    for member in members:
        member.outlet.push = lambda wire, member=member: (order.append(member), len(wire))[1]
    await audience.send(BOARD, None)
    # The next fan-out begins two further on; its last two are full, or gone, before their part.
    expected = order[2:] + order[:2]
    full, gone = expected[4:]

    def interrupt(wire: bytes) -> int:
        full.outlet.fill()
        audience.remove(gone)
        order.append(expected[0])
        return len(wire)

    expected[0].outlet.push = interrupt
    order.clear()
    await audience.send(BOARD, None)
    assert order == expected[:4]
    assert full.passed_over


async def test_a_changed_rank_travels_with_the_board_once(session):
    """A watcher has none; the same rank is not sent twice; without a board it goes alone."""
    audience = Audience(Metrics())
    alice, bob, watcher = members_of(audience, "alice", "bob", None)
    alice.rank_was_sent(30, 1)
    await audience.send(BOARD, session)
    assert alice.outlet.sent == watcher.outlet.sent == [BOARD.texts]
    board, rank = bob.outlet.sent[0]
    assert (board,) == BOARD.texts
    update = json.loads(rank)
    assert (update["data"]["score"], update["data"]["rank"]) == (20, 2)
    session.score("bob", 15, None, 1.0)
    await audience.send(None, session)
    await audience.send(None, session)
    assert [len(one.outlet.sent) for one in (alice, bob, watcher)] == [2, 2, 1]


def test_the_own_rank_is_sent_again_when_asked_for(session):
    """A join is answered with it, whatever was sent before; an unranked player has 0 points and no rank."""
    member = Member(RecordingOutlet(), "alice")
    first = member.own_rank(session)
    assert member.changed_rank(session) is None
    assert member.own_rank(session).texts == first.texts
    session.join("zed", None)
    update = json.loads(Member(RecordingOutlet(), "zed").own_rank(session).texts[0])
    assert (update["data"]["score"], update["data"]["rank"]) == (0, None)
    assert Member(RecordingOutlet()).own_rank(session) is None
