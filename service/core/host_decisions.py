"""What the host of a session decides: a map in which the last decision on a thing holds, the same for all workers.

    lock           the users who had joined when joining was locked; null while it is open
    freeze         the board that everybody is shown while it is frozen; null while it is not
    podium         whether the show has come to its end
    name:USER      the name that the host gave the player
    hidden:USER    whether the player is left off the board
    removed:USER   whether the player is out of the session

A decision has a turn above those of all that its worker knew, and the worker's name. Of two on the same thing the one
with the higher turn holds, of equal turns that of the greater name: so they may come in any order, and more than once.
Such a map is known as one of last-writer-wins registers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import from_json, to_json

from service.core.protocol import Entry, is_id
from service.core.username import clean_username

LOCK: Final = "lock"
FREEZE: Final = "freeze"
PODIUM: Final = "podium"
NAME: Final = "name"
HIDDEN: Final = "hidden"
REMOVED: Final = "removed"
LAST_TURN: Final = 2**53  # above it Lua counts no more


class FrozenBoard(BaseModel):
    """The first rows of a board as they were when it was frozen."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)
    version: int
    epoch: str
    leaderboard: tuple[Entry, ...]
    total_players: int
    total_participants: int


class Decision(NamedTuple):
    """What was decided on one thing; `value` is JSON."""

    turn: int
    worker: str
    value: Any

    def beats(self, other: Decision | None) -> bool:
        """Whether this one holds where both are known."""
        return other is None or (self.turn, self.worker) > (other.turn, other.worker)

    @property
    def text(self) -> bytes:
        """The decision as it is stored."""
        return to_json(self)


Decisions = Mapping[str, Decision]  # by the thing that was decided on


def about(kind: str, user_id: str) -> str:
    """The thing that concerns one player."""
    return f"{kind}:{user_id}"


class HostDecisions:
    """All that was decided in one session, as far as it is known here."""

    def __init__(self) -> None:
        self.unshown: set[str] = set()  # who is hidden or removed
        self.locked: frozenset[str] | None = None
        self.frozen: FrozenBoard | None = None
        self.names: dict[str, str] = {}
        self._held: dict[str, Decision] = {}

    def __bool__(self) -> bool:
        return bool(self._held)

    @property
    def all(self) -> Decisions:
        """Everything that holds."""
        return self._held

    @property
    def podium(self) -> bool:
        """Whether the show has come to its end."""
        return bool(self._value(PODIUM))

    def of_kind(self, kind: str) -> list[str]:
        """The users of whom a decision of that kind holds."""
        found = (key.partition(":") for key, one in self._held.items() if one.value)
        return sorted(user_id for named, _, user_id in found if named == kind)

    def is_removed(self, user_id: str) -> bool:
        """Whether the player is out of the session."""
        return bool(self._value(about(REMOVED, user_id)))

    def decide(self, worker: str, values: Mapping[str, Any]) -> Decisions:
        """Decisions that hold once they are merged; nothing has changed yet."""
        turn = max((one.turn for one in self._held.values()), default=0) + 1
        return {key: Decision(turn, worker, value) for key, value in values.items()}

    def merge(self, decisions: Decisions) -> list[str]:
        """Take decisions in; return what is decided differently now."""
        changed = []
        for key, one in decisions.items():
            before = self._held.get(key)
            if one.beats(before):
                self._held[key] = one
                if (before.value if before else None) != one.value:
                    changed.append(key)
                    self._follow(key, one.value)
        return changed

    def _value(self, key: str) -> Any:
        held = self._held.get(key)
        return None if held is None else held.value

    def _follow(self, key: str, value: Any) -> None:
        kind, _, user_id = key.partition(":")
        if kind == LOCK:
            self.locked = None if value is None else frozenset(value)
        elif kind == FREEZE:
            self.frozen = None if value is None else FrozenBoard.model_validate(value)
        elif kind == NAME:
            self.names[user_id] = value
        elif kind in {HIDDEN, REMOVED}:
            out = any(self._value(about(one, user_id)) for one in (HIDDEN, REMOVED))
            (self.unshown.add if out else self.unshown.discard)(user_id)


def to_wire(decisions: Decisions) -> bytes:
    """The decisions as they travel between workers."""
    return to_json([[key, *one] for key, one in decisions.items()])


def from_wire(text: bytes) -> dict[str, Decision]:
    """The decisions in a text that others wrote, without what cannot be read. Raises ValueError if it is no list."""
    listed = from_json(text)
    if not isinstance(listed, list):
        raise ValueError(f"expected a list of decisions, got {ascii(listed)[:100]}")  # noqa: TRY004 - as for other text
    return dict(_readable(listed))


def from_stored(stored: Mapping[str, bytes]) -> dict[str, Decision]:
    """The decisions that are stored, without what cannot be read."""
    listed = []
    for key, text in stored.items():
        try:
            one = from_json(text)
        except ValueError:
            continue
        if isinstance(one, list):
            listed.append([key, *one])
    return dict(_readable(listed))


def _readable(listed: list[Any]) -> Iterator[tuple[str, Decision]]:
    for one in listed:
        match one:
            case [str(key), int(turn), str(worker), value] if 0 <= turn < LAST_TURN and is_id(worker):
                kind, _, user_id = key.partition(":")
                fits = _FITS.get(kind)
                if fits is not None and (is_id(user_id) if kind in _OF_USERS else not user_id) and fits(value):
                    yield key, Decision(turn, worker, value)


def _is_lock(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(map(is_id, value)))


def _is_frozen(value: object) -> bool:
    try:
        return value is None or bool(FrozenBoard.model_validate(value, strict=False))
    except ValidationError:
        return False


def _is_name(value: object) -> bool:
    try:
        return isinstance(value, str) and clean_username(value) == value
    except ValueError:
        return False


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


_OF_USERS: Final = {NAME, HIDDEN, REMOVED}
_FITS: Final[Mapping[str, Callable[[object], bool]]] = {
    LOCK: _is_lock, FREEZE: _is_frozen, PODIUM: _is_flag, NAME: _is_name, HIDDEN: _is_flag, REMOVED: _is_flag,
}  # fmt: skip
