"""Events of one tick become one board and few notices."""

from __future__ import annotations

import pytest

from service.core.protocol import BoardOverwritten, ParticipantsChanged, ScoreChange
from service.core.session import CLEARED, Arrived, Left, Renamed, Restored, Session, SessionRules
from service.realtime.pending_changes import MAX_NOTICES, PendingChanges

TOP = 2


@pytest.fixture
def session() -> Session:
    session = Session("S", "e", SessionRules(), created_at=0.0)
    for user, points in (("alice", 30), ("bob", 20), ("carol", 10)):
        session.join(user, None)
        session.score(user, points, None, 0.0)
    return session


def folded(session: Session, *events) -> PendingChanges:
    changes = PendingChanges()
    for event in events:
        changes.fold(event, session, TOP)
    return changes


def board(changes: PendingChanges, session: Session):
    return changes.leaderboard_update(session, top=TOP, sent_at=9.0, degraded=False)


def test_updates_are_counted_and_the_oldest_is_kept(session):
    """The board says how many updates are new on it, when the first came, and what the last one did."""
    events = [event for at in (5.0, 6.0) for event in session.score("bob", 3, None, at)[1]]
    update = board(folded(session, *events), session)
    assert (update.updates, update.oldest_at, update.sent_at) == (2, 5000.0, 9000.0)
    assert isinstance(update.last_update, ScoreChange)
    assert (update.last_update.user_id, update.last_update.new_score) == ("bob", 26)
    assert [row.user_id for row in update.leaderboard] == ["alice", "bob"]


def test_an_overwritten_board_says_so(session):
    """Also when a score came in the same tick; updates read from elsewhere count."""
    scored = session.score("bob", 3, None, 5.0)[1]
    update = board(folded(session, *scored, CLEARED, Restored(4)), session)
    assert isinstance(update.last_update, BoardOverwritten)
    assert update.updates == 5


@pytest.mark.parametrize("event", [Arrived, Left, Renamed])
def test_a_participant_below_the_board_makes_none(session, event):
    """Presence and names are on the board's rows alone."""
    more = () if event is Renamed else ("Name", 3)
    assert folded(session, event("bob", *more)).board
    assert not folded(session, event("carol", *more)).board


def test_the_rest_of_a_crowd_is_one_notice(session):
    """The first ones have a notice each, in order."""
    crowd = [Arrived(f"u{number}", f"U{number}", number) for number in range(MAX_NOTICES + 3)]
    notices = folded(session, *crowd, Left("bob", "Bob", 12)).participant_notices()
    assert [notice.user_id for notice in notices[:-1]] == [one.user_id for one in crowd[:MAX_NOTICES]]
    assert notices[-1] == ParticipantsChanged(joined=3, left=1, total_participants=12)
