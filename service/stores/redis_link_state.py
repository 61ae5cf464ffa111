"""The states of the link to Redis as a table, and what each state means for scores."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, auto
from typing import Final


class LinkState(StrEnum):
    """How far Redis can be relied on now."""

    UNREAD = auto()  # nothing has been read from Redis since the start
    IN_TOUCH = auto()  # connected, all sessions read, and Redis answers in time
    SLOW = auto()  # connected, but an update waited too long for its confirmation
    CUT = auto()  # the connection ended; the next try says whether Redis is away
    CUT_SLOW = auto()  # as CUT, and an update waited too long for its confirmation
    AWAY = auto()  # a try to connect failed since the last reading
    STOPPED = auto()  # the store stops


class LinkEvent(StrEnum):
    """What happens to the link."""

    READ = auto()  # a new connection has read all sessions
    OVERDUE = auto()  # an update had to be answered provisionally
    ANSWERED = auto()  # Redis answered a batch
    ENDED = auto()  # the connection ended, or could not be made
    STOP = auto()  # the store stops


UNREAD, IN_TOUCH, SLOW, CUT, CUT_SLOW, AWAY, STOPPED = LinkState
READ, OVERDUE, ANSWERED, ENDED, STOP = LinkEvent

LINK_TRANSITIONS: Final[Mapping[LinkState, Mapping[LinkEvent, LinkState]]] = {
    UNREAD: {READ: IN_TOUCH, OVERDUE: UNREAD, ENDED: UNREAD, STOP: STOPPED},
    IN_TOUCH: {OVERDUE: SLOW, ANSWERED: IN_TOUCH, ENDED: CUT, STOP: STOPPED},
    SLOW: {OVERDUE: SLOW, ANSWERED: IN_TOUCH, ENDED: CUT_SLOW, STOP: STOPPED},
    CUT: {READ: IN_TOUCH, OVERDUE: CUT_SLOW, ENDED: AWAY, STOP: STOPPED},
    CUT_SLOW: {READ: IN_TOUCH, OVERDUE: CUT_SLOW, ENDED: AWAY, STOP: STOPPED},
    AWAY: {READ: IN_TOUCH, OVERDUE: AWAY, ENDED: AWAY, STOP: STOPPED},
    # Tasks that are being cancelled may still report.
    STOPPED: {READ: STOPPED, OVERDUE: STOPPED, ANSWERED: STOPPED, ENDED: STOPPED, STOP: STOPPED},
}

DEGRADED: Final = frozenset({UNREAD, AWAY})  # scores are kept in this process only
AT_ONCE: Final = frozenset({UNREAD, SLOW, CUT_SLOW, AWAY})  # updates get a provisional answer without waiting
