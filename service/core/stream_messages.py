"""What workers publish to each other, checked as any input is: whoever reaches Redis can publish.

    ["batch", worker, session, epoch, seq, since, version, updates, [[index, points], …]]
                    after a line feed, the operations, which `pn_counter.from_wire` checks
    ["restored" | "ended", worker, session]
    ["host", worker, session]
                    after a line feed, the decisions, which `host_decisions.from_wire` checks
    ["beat", worker, turn]   ["who", worker, asked]   ["bye", worker]
    ["changes" | "roster", worker, turn, [[session, user, name | null], …]]   user and name "": its watchers

A kind that is not in the table is one of a newer version, which this one has to do without.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pydantic_core import from_json

from service.core.protocol import is_id
from service.core.user_appearance import shown_username

LONGEST: Final = 100  # characters of an error text that came from outside
MOST: Final = 2**53  # above it Lua counts no more
WATCHERS: Final = ""  # stands for all watchers of a session, where others have a user; no user's id is empty
_EPOCH: Final = re.compile(r"[A-Za-z0-9_.~-]{1,64}")

Message = list[Any]


class Unreadable(ValueError):
    """What was published is no message; `kind` is one of a few words, for the log."""

    def __init__(self, kind: str, expected: str, came: object) -> None:
        super().__init__(f"expected {expected}, got {ascii(came)[:LONGEST]}")
        self.kind = kind


def read_message(data: bytes) -> tuple[Message, bytes]:
    """The message, and the operations that came with it or nothing. Raises `Unreadable`.

    A name that may not be shown is replaced by the one that the user's id gives.
    """
    head, _, text = data.partition(b"\n")
    try:
        message = from_json(head)
    except ValueError:
        raise Unreadable("no JSON", "JSON", data[:LONGEST]) from None
    if not isinstance(message, list) or not message or not isinstance(message[0], str):
        raise Unreadable("no message", "a list that begins with its kind", message)
    kind, *fields = message
    shape = _SHAPES.get(kind)
    if shape is None:
        raise Unreadable("unknown kind", f"one of {', '.join(_SHAPES)}", message)
    if len(fields) != len(shape) or not all(fits(field) for fits, field in zip(shape, fields, strict=True)):
        raise Unreadable("odd fields", f"the fields of {kind}", message)
    if kind in _LISTING:
        message[3] = [[session, user, name and shown_username(user, name)] for session, user, name in message[3]]
    return message, text


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < MOST


def _is_epoch(value: object) -> bool:
    return isinstance(value, str) and _EPOCH.fullmatch(value) is not None


def _is_asked(value: object) -> bool:
    return value == "*" or is_id(value)


def _are_repeated(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and _is_count(pair[0]) and type(pair[1]) is int for pair in value
    )


def _are_users(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, list) and len(one) == 3 and is_id(one[0]) and _is_listed(*one[1:]) for one in value
    )


def _is_listed(user_id: object, name: object) -> bool:
    if user_id == WATCHERS:
        return name is None or name == ""
    return is_id(user_id) and (name is None or (isinstance(name, str) and name != ""))


_LISTING: Final = ("changes", "roster")
_SHAPES: Final[Mapping[str, Sequence[Callable[[object], bool]]]] = {
    "batch": (is_id, is_id, _is_epoch, _is_count, _is_count, _is_count, _is_count, _are_repeated),
    "restored": (is_id, is_id),
    "ended": (is_id, is_id),
    "host": (is_id, is_id),
    "beat": (is_id, _is_count),
    "who": (is_id, _is_asked),
    "bye": (is_id,),
    "changes": (is_id, _is_count, _are_users),
    "roster": (is_id, _is_count, _are_users),
}
