"""State machines as literal tables: state → event → next state. What a table does not list cannot happen."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

State = TypeVar("State", bound=StrEnum)
Event = TypeVar("Event", bound=StrEnum)


class NoTransition(Exception):
    """The table does not list this event in this state, so the code that sent it is wrong."""


def next_state(table: Mapping[State, Mapping[Event, State]], state: State, event: Event) -> State:
    """The state after the event. Raises `NoTransition`."""
    try:
        return table[state][event]
    except KeyError:
        expected = ", ".join(table.get(state, ())) or "no event"
        raise NoTransition(f"{state}: expected {expected}, got {event}") from None
