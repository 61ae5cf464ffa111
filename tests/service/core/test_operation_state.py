"""The table of an operation's states, pair by pair."""

from __future__ import annotations

from itertools import product

import pytest

from service.core import operation_state
from service.core.operation_state import (
    ANSWER_PROVISIONALLY,
    CONFIRM,
    CONFIRMED,
    COUNTED_ELSEWHERE,
    GIVE_UP,
    OPERATION_TRANSITIONS,
    PROVISIONAL,
    QUEUED,
    QUEUED_PROVISIONAL,
    SEND,
    SENT,
    SENT_PROVISIONAL,
    OperationEvent,
    OperationState,
)
from service.core.state_machine import NoTransition, next_state

_ = None  # cannot happen
EVENTS = (SEND, GIVE_UP, CONFIRM, COUNTED_ELSEWHERE, ANSWER_PROVISIONALLY)
AFTER = {
    QUEUED: (SENT, _, _, CONFIRMED, QUEUED_PROVISIONAL),
    SENT: (_, QUEUED, CONFIRMED, _, SENT_PROVISIONAL),
    QUEUED_PROVISIONAL: (SENT_PROVISIONAL, _, _, CONFIRMED, _),
    SENT_PROVISIONAL: (_, QUEUED_PROVISIONAL, CONFIRMED, _, _),
    CONFIRMED: (_, _, _, _, _),
}


@pytest.mark.parametrize(("state", "event"), list(product(OperationState, OperationEvent)))
def test_each_event_leads_from_each_state_where_the_table_says(state: OperationState, event: OperationEvent):
    """Every pair of state and event is listed, or raises."""
    after = AFTER[state][EVENTS.index(event)]
    if after is not None:
        assert next_state(OPERATION_TRANSITIONS, state, event) is after
    else:
        with pytest.raises(NoTransition, match=f"^{state}: expected .*, got {event}$"):
            next_state(OPERATION_TRANSITIONS, state, event)


def test_each_short_name_is_that_of_its_member():
    """The names are bound in the enums' order, so a member inserted in one place only would shift them."""
    members = vars(operation_state)
    assert all(members[member.name] is member for member in (*OperationState, *OperationEvent))


def test_a_provisional_operation_stays_so_until_it_is_confirmed():
    """Whatever happens to it; and one becomes so by a provisional answer only."""
    for state, events in OPERATION_TRANSITIONS.items():
        for event, after in events.items():
            if state in PROVISIONAL:
                assert after in PROVISIONAL | {CONFIRMED}
            else:
                assert (after in PROVISIONAL) == (event is ANSWER_PROVISIONALLY)
