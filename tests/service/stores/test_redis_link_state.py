"""The table of the states of the link to Redis, pair by pair."""

from __future__ import annotations

from itertools import product

import pytest

from service.core.state_machine import NoTransition, next_state
from service.stores import redis_link_state
from service.stores.redis_link_state import (
    ANSWERED,
    AT_ONCE,
    AWAY,
    CUT,
    CUT_SLOW,
    DEGRADED,
    ENDED,
    IN_TOUCH,
    LINK_TRANSITIONS,
    OVERDUE,
    READ,
    SLOW,
    STOP,
    STOPPED,
    UNREAD,
    LinkEvent,
    LinkState,
)

_ = None  # cannot happen
EVENTS = (READ, OVERDUE, ANSWERED, ENDED, STOP)
AFTER = {
    UNREAD: (IN_TOUCH, UNREAD, _, UNREAD, STOPPED),
    IN_TOUCH: (_, SLOW, IN_TOUCH, CUT, STOPPED),
    SLOW: (_, SLOW, IN_TOUCH, CUT_SLOW, STOPPED),
    CUT: (IN_TOUCH, CUT_SLOW, _, AWAY, STOPPED),
    CUT_SLOW: (IN_TOUCH, CUT_SLOW, _, AWAY, STOPPED),
    AWAY: (IN_TOUCH, AWAY, _, AWAY, STOPPED),
    STOPPED: (STOPPED, STOPPED, STOPPED, STOPPED, STOPPED),
}


def after(state: LinkState, *events: LinkEvent) -> LinkState:
    """The state after the events."""
    for event in events:
        state = next_state(LINK_TRANSITIONS, state, event)
    return state


@pytest.mark.parametrize(("state", "event"), list(product(LinkState, LinkEvent)))
def test_each_event_leads_from_each_state_where_the_table_says(state: LinkState, event: LinkEvent):
    """Every pair of state and event is listed, or raises."""
    expected = AFTER[state][EVENTS.index(event)]
    if expected is not None:
        assert after(state, event) is expected
    else:
        with pytest.raises(NoTransition, match=f"^{state}: expected .*, got {event}$"):
            after(state, event)


def test_each_short_name_is_that_of_its_member():
    """The names are bound in the enums' order, so a member inserted in one place only would shift them."""
    members = vars(redis_link_state)
    assert all(members[member.name] is member for member in (*LinkState, *LinkEvent))


def test_a_connection_that_is_cut_is_no_redis_that_is_away():
    """The next try decides; until Redis has been read once, it counts as away."""
    assert after(IN_TOUCH, ENDED) not in DEGRADED
    assert after(IN_TOUCH, ENDED, READ) is IN_TOUCH
    assert after(IN_TOUCH, ENDED, ENDED) in DEGRADED
    assert after(UNREAD, ENDED) in DEGRADED


def test_nobody_is_kept_waiting_while_redis_is_slow_or_away():
    """One overdue update is enough; an answer of Redis ends it, a cut connection does not."""
    assert AT_ONCE >= DEGRADED
    assert after(IN_TOUCH, OVERDUE) in AT_ONCE
    assert after(IN_TOUCH, OVERDUE, ENDED) in AT_ONCE
    assert after(IN_TOUCH, OVERDUE, ANSWERED) not in AT_ONCE
    assert after(IN_TOUCH, ENDED) not in AT_ONCE


def test_a_stopped_link_stays_stopped():
    """Whatever its tasks report while they are cancelled."""
    assert {after(STOPPED, event) for event in LinkEvent} == {STOPPED}
