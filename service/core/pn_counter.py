"""The scores of one session as a PN-counter: one row of signed sums per worker; the board is their sum.

A PN-counter is a replicated counter that can go up and down (Shapiro, Preguiça, Baquero and Zawirski, "A comprehensive
study of convergent and commutative replicated data types", 2011, specification 7). There each replica keeps one count
of increments and one of decrements and merges by the maximum. Here each process, a *worker*, keeps one row, user → the
points that arrived at it. Only that process writes the row and numbers each change (`seq`), so two copies of a row
merge by taking the one with the higher number, and the points may have either sign. No process ever writes another
one's counts, and any process that knows a row can restore it after a loss, in any order, any number of times. A reset
begins a new *generation* of rows. Rows can be compared only within one *epoch*: a Redis that lost data begins a new
one.

`apply.lua` applies each batch in one place, and every process follows here: the same operations in the same order lead
to the same state. This module must stay equivalent to that script.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard

from pydantic_core import from_json, to_json

from service.core.protocol import MAX_TOTAL, is_id, is_op_id
from service.core.user_appearance import shown_username

# Operations


@dataclass(frozen=True, slots=True)
class Add:
    """Points for a user, once per op id; `received_at` in Unix seconds."""

    user_id: str
    points: int
    op_id: str | None
    received_at: float


@dataclass(frozen=True, slots=True)
class Populate:
    """Sets users to scores, whatever they had."""

    scores: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Reset:
    """Clears all scores."""


@dataclass(frozen=True, slots=True)
class Name:
    """Gives a ranked user a name other than the one derived from the id; does not change the board."""

    user_id: str
    username: str


Op = Add | Populate | Reset | Name

_ADD: Final = "add"
_POPULATE: Final = "populate"
_RESET: Final = "reset"
_NAME: Final = "name"


def to_wire(ops: Sequence[Op]) -> bytes:
    """The operations as `apply.lua` reads them. Times are strings, because Lua would round them."""
    return to_json([_fields(op) for op in ops])


def _fields(op: Op) -> list[object]:
    match op:
        case Add():
            return [_ADD, op.user_id, op.points, op.op_id or "", repr(op.received_at)]
        case Populate():
            return [_POPULATE, list(op.scores.items())]
        case Reset():
            return [_RESET]
        case Name():
            return [_NAME, op.user_id, op.username]


def from_wire(text: bytes) -> list[Op]:
    """The operations that `to_wire` wrote. Raises ValueError for anything else, odd ids and numbers included."""
    listed = from_json(text)
    if not isinstance(listed, list):
        raise ValueError(f"expected a list of operations, got {ascii(listed)[:100]}")  # noqa: TRY004 - it is input
    return [_op(fields) for fields in listed]


def _op(fields: Any) -> Op:
    match fields:
        case ["add", user_id, points, op_id, received_at] if (
            is_id(user_id) and _is_integer(points, MAX_TOTAL) and (op_id == "" or is_op_id(op_id))
        ):
            return Add(user_id, points, op_id or None, _moment(received_at))
        case ["populate", [*scores]] if all(map(_is_score, scores)):
            return Populate(dict(scores))
        case ["reset"]:
            return Reset()
        case ["name", user_id, str(username)] if is_id(user_id):
            return Name(user_id, shown_username(user_id, username))
        case _:
            raise ValueError(f"expected an operation, got {ascii(fields)[:100]}")


def _is_integer(value: object, most: int) -> TypeGuard[int]:
    return type(value) is int and abs(value) <= most


def _is_score(pair: object) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and is_id(pair[0]) and _is_integer(pair[1], MAX_TOTAL)


def _moment(text: object) -> float:
    """Unix seconds. Raises ValueError."""
    moment = float(text) if isinstance(text, str) else math.nan
    if not math.isfinite(moment):
        raise ValueError(f"expected the time of an operation, got {ascii(text)[:100]}")
    return moment


# State


@dataclass(slots=True)
class WorkerRow:
    """One worker's points in the current generation, and the number of its last batch."""

    seq: int = 0
    points: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stamp:
    """The position of a state: versions compare within one epoch; `updates` counts the adds among them."""

    epoch: str
    version: int = 0
    updates: int = 0


@dataclass(frozen=True, slots=True)
class Applied:
    """A batch as it was applied.

    It led from the version `since` to `stamp`. `repeated` has the adds that had been counted before: index → the
    points that counted then.
    """

    worker: str
    seq: int
    since: int
    stamp: Stamp
    repeated: dict[int, int]
    text: bytes


@dataclass(slots=True)
class SessionSnapshot:
    """A session as read in one call, with the recent batches that this worker may not have seen."""

    stamp: Stamp
    generation: int
    rows: dict[str, WorkerRow]
    names: dict[str, str]
    recent: list[Applied] = field(default_factory=list)


class Replica:
    """The agreed state of one session, as of the last batch that this process received."""

    def __init__(self, epoch: str) -> None:
        self.stamp = Stamp(epoch)
        self.generation = 1
        self.rows: dict[str, WorkerRow] = {}
        self.names: dict[str, str] = {}
        self.totals: dict[str, int] = {}

    def row(self, worker: str) -> WorkerRow:
        """The worker's row; a new, empty one if the worker is unknown."""
        row = self.rows.get(worker)
        if row is None:
            row = self.rows[worker] = WorkerRow()
        return row

    def apply(self, worker: str, op: Op) -> None:
        """Apply an operation that was counted. `SharedSession` advances the stamp, once per batch."""
        match op:
            case Add():
                self._book(worker, op.user_id, op.points)
            case Populate():
                for user_id, score in op.scores.items():
                    self._book(worker, user_id, score - self.totals.get(user_id, 0))
            case Reset():
                self.generation += 1
                self.totals.clear()
                self.names.clear()
                for row in self.rows.values():
                    row.points.clear()
            case Name():
                self.names[op.user_id] = op.username

    def newer_than(self, reading: SessionSnapshot) -> list[str]:
        """The workers whose rows are more recent here than in the reading."""
        if self.generation > reading.generation:
            # Nothing in the reading counts any more, so every row has to be restored.
            return list(self.rows)
        return [worker for worker, row in self.rows.items() if row.seq > reading.rows.get(worker, WorkerRow()).seq]

    def adopt(self, reading: SessionSnapshot) -> None:
        """Replace this state by the reading. No row here may be `newer_than` it."""
        self.stamp = reading.stamp
        self.generation = reading.generation
        self.rows = reading.rows
        self.names = reading.names
        self.totals = {}
        for row in self.rows.values():
            for user_id, points in row.points.items():
                self.totals[user_id] = self.totals.get(user_id, 0) + points

    def _book(self, worker: str, user_id: str, points: int) -> None:
        row = self.row(worker).points
        row[user_id] = row.get(user_id, 0) + points
        self.totals[user_id] = self.totals.get(user_id, 0) + points
