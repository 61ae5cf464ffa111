"""The life of one operation that workers share over Redis, from its queue to its confirmation.

                QUEUED  ── SEND ──▶  SENT  ── CONFIRM ──▶  CONFIRMED
                        ◀─ GIVE_UP ─

ANSWER_PROVISIONALLY, at most once, leads from the upper row to its twin below, which ends in the same state:

    QUEUED_PROVISIONAL  ── SEND ──▶  SENT_PROVISIONAL  ── CONFIRM ──▶  CONFIRMED
                        ◀─ GIVE_UP ─

COUNTED_ELSEWHERE is the short way from a queue to CONFIRMED.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, auto
from typing import Final


class OperationState(StrEnum):
    """Where an operation is, and whether it is shown and answered before it is confirmed."""

    QUEUED = auto()  # waits for the next batch
    SENT = auto()  # in the batch in flight, which may or may not have arrived
    QUEUED_PROVISIONAL = auto()  # as QUEUED; shown in an epoch of this process and answered with `durable: false`
    SENT_PROVISIONAL = auto()  # as SENT; shown in an epoch of this process and answered with `durable: false`
    CONFIRMED = auto()  # counted in Redis, once, and answered


class OperationEvent(StrEnum):
    """What happens to an operation."""

    SEND = auto()  # it went into the next batch
    GIVE_UP = auto()  # its batch did not arrive and cannot any more
    CONFIRM = auto()  # its batch came back in the stream, or was found in what was read
    COUNTED_ELSEWHERE = auto()  # another worker's batch held the same op id
    ANSWER_PROVISIONALLY = auto()  # it has waited too long


QUEUED, SENT, QUEUED_PROVISIONAL, SENT_PROVISIONAL, CONFIRMED = OperationState
SEND, GIVE_UP, CONFIRM, COUNTED_ELSEWHERE, ANSWER_PROVISIONALLY = OperationEvent

OPERATION_TRANSITIONS: Final[Mapping[OperationState, Mapping[OperationEvent, OperationState]]] = {
    QUEUED: {SEND: SENT, ANSWER_PROVISIONALLY: QUEUED_PROVISIONAL, COUNTED_ELSEWHERE: CONFIRMED},
    SENT: {CONFIRM: CONFIRMED, ANSWER_PROVISIONALLY: SENT_PROVISIONAL, GIVE_UP: QUEUED},
    QUEUED_PROVISIONAL: {SEND: SENT_PROVISIONAL, COUNTED_ELSEWHERE: CONFIRMED},
    SENT_PROVISIONAL: {CONFIRM: CONFIRMED, GIVE_UP: QUEUED_PROVISIONAL},
    CONFIRMED: {},
}

PROVISIONAL: Final = frozenset({QUEUED_PROVISIONAL, SENT_PROVISIONAL})
