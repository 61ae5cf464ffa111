"""The rules of one quiz session: who is connected, who has how many points, which updates are repeats.

Commands take the time as an argument (Unix seconds) and return events. The session knows neither
sockets nor Redis: a store decides what survives, a hub decides which sockets are notified.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from service.core.errors import ErrorCode, Refused
from service.core.host_decisions import HIDDEN, NAME, REMOVED, Decisions, HostDecisions
from service.core.player_claim import Claim
from service.core.protocol import MAX_TOTAL, Entry
from service.core.ranking import Board, Ranking, Standing
from service.core.user_appearance import DEMO_USERS, appearance_of, default_username

OP_MEMORY = 300.0  # seconds for which an opId is remembered at least


@dataclass(frozen=True, slots=True)
class SessionRules:
    """The rules of every session: how ties are ranked, and the maximum number of users ranked or connected."""

    ranking: Ranking = Ranking.COMPETITION
    max_players: int = 20_000


# Events


@dataclass(frozen=True, slots=True)
class Scored:
    """An update was accepted; `received_at` in Unix seconds."""

    user_id: str
    username: str
    points: int
    new_score: int
    old_rank: int | None
    new_rank: int
    received_at: float


@dataclass(frozen=True, slots=True)
class Overwritten:
    """Scores were set or cleared by populate or reset."""

    kind: Literal["demo_data_populated", "leaderboard_reset"]
    message: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """A user's first connection."""

    user_id: str
    username: str
    total_participants: int


@dataclass(frozen=True, slots=True)
class Left:
    """A user's last connection has ended."""

    user_id: str
    username: str
    total_participants: int


@dataclass(frozen=True, slots=True)
class Renamed:
    """A user joined again under another name."""

    user_id: str


@dataclass(frozen=True, slots=True)
class Removed:
    """The host took the user out of the session."""

    user_id: str


@dataclass(frozen=True, slots=True)
class Staged:
    """The host locked or unlocked joining, froze or revealed the board, or came to the end."""


POPULATED: Final = Overwritten("demo_data_populated", "Demo data populated")
CLEARED: Final = Overwritten("leaderboard_reset", "Leaderboard reset")


@dataclass(frozen=True, slots=True)
class Restored:
    """The board was reread from the store: `updates` accepted updates entered it without a `Scored` event."""

    updates: int = 0


Event = Scored | Overwritten | Restored | Arrived | Left | Renamed | Removed | Staged


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to the sender of an update: its points, and the player's resulting place."""

    user_id: str
    op_id: str | None
    points: int
    score: int
    rank: int | None
    total_players: int
    version: int
    epoch: str
    durable: bool


class OpMemory:
    """The opIds of the last minutes, each with the points that it counted.

    Two dictionaries rotate: every `OP_MEMORY` seconds a new one is started and the older one is
    dropped, so an id lives for one to two periods, and forgetting costs nothing per id.
    """

    def __init__(self, now: float) -> None:
        self._young: dict[str, int] = {}
        self._old: dict[str, int] = {}
        self._begun = now

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def recall(self, user_id: str, op_id: str) -> int | None:
        """The points of a remembered update, or None."""
        key = _key(user_id, op_id)
        points = self._young.get(key)
        return self._old.get(key) if points is None else points

    def remember(self, user_id: str, op_id: str, points: int, now: float) -> None:
        """Keep the id for at least `OP_MEMORY` seconds from now."""
        self.forget(now)
        self._young[_key(user_id, op_id)] = points

    def forget(self, now: float) -> None:
        """Drop ids that are older than two periods."""
        age = now - self._begun
        if age >= OP_MEMORY:
            self._old = self._young if age < 2 * OP_MEMORY else {}
            self._young = {}
            self._begun = now


def _key(user_id: str, op_id: str) -> str:
    # One string takes two fifths less memory than a pair. No user id has a NUL.
    return f"{user_id}\0{op_id}"


def check_total(total: int, op_id: str | None) -> None:
    """Raise `Refused` for a total that no player may have."""
    if abs(total) > MAX_TOTAL:
        raise Refused(ErrorCode.LIMIT, f"expected a total from {-MAX_TOTAL} to {MAX_TOTAL}, got {total}", op_id=op_id)


def taken(claim: Claim) -> Refused:
    """The refusal of a claim to a user whom somebody else holds."""
    return Refused(
        ErrorCode.TAKEN, f"expected a user whom nobody plays yet, got {claim.user_id}, whom somebody else plays"
    )


@dataclass(slots=True)
class _Person:
    username: str
    connections: int = 0
    holder: str | None = None  # who alone may play as the user; kept while the session lasts


@dataclass(slots=True)
class Session:
    """One quiz session. `version` counts the accepted changes of `epoch`; presence does not count."""

    id: str
    epoch: str
    rules: SessionRules
    created_at: float
    version: int = 0
    participants: int = 0  # distinct users connected now
    empty_since: float | None = field(init=False)
    board: Board = field(init=False)
    ops: OpMemory = field(init=False)
    host: HostDecisions = field(init=False, default_factory=HostDecisions)
    _aside: dict[str, int] = field(init=False, default_factory=dict)  # scores of players who are not shown
    _people: dict[str, _Person] = field(init=False, default_factory=dict)  # everybody who is connected, ranked or held
    _joined: set[str] = field(init=False, default_factory=set)  # who ever joined here, as far as there is room

    def __post_init__(self) -> None:
        self.empty_since = self.created_at
        self.board = Board(self.rules.ranking)
        self.ops = OpMemory(self.created_at)

    def move_to(self, epoch: str, version: int) -> None:
        """Adopt the epoch and version that the workers sharing the session agree on."""
        self.epoch, self.version = epoch, version

    def move_on(self, changes: int = 1) -> None:
        """Count accepted changes that are shown in the current epoch."""
        self.version += changes

    # Presence

    def check_join(self, user_id: str) -> None:
        """Raise `Refused` if the host keeps the user out, or the session has no room."""
        if self.host.is_removed(user_id):
            raise Refused(
                ErrorCode.REMOVED, f"expected a player of session {self.id}, got {user_id}, whom the host removed"
            )
        if self.host.locked is not None and user_id not in self.host.locked and user_id not in self._joined:
            raise Refused(ErrorCode.SESSION_FULL, f"session {self.id} is locked: the host lets nobody new join")
        self._check_room(user_id not in self._people)

    def check_populate(self) -> None:
        """Raise `Refused` if the session has no room for all demo users."""
        self._check_room(len(DEMO_USERS.keys() - self._people.keys()))

    def _check_room(self, newcomers: int) -> None:
        players = len(self._people) + newcomers
        if newcomers and players > self.rules.max_players:
            raise Refused(
                ErrorCode.SESSION_FULL,
                f"session {self.id} is full: expected at most {self.rules.max_players} players, got {players}",
            )

    def join(self, user_id: str, username: str | None) -> list[Event]:
        """Add a connection of the user and set the name. Raises `Refused` if the session is full."""
        self.check_join(user_id)
        return self.admit(user_id, username)

    def admit(self, user_id: str, username: str | None) -> list[Event]:
        """`join` without the check for room, which the caller has made."""
        name = default_username(user_id) if username is None else username
        person = self._people.get(user_id)
        if person is None:
            person = self._people[user_id] = _Person(name)
        events: list[Event] = []
        if person.username != name:
            person.username = name
            events += self._renamed(user_id)
        person.connections += 1
        if len(self._joined) < self.rules.max_players:
            self._joined.add(user_id)
        self.empty_since = None
        if person.connections == 1:
            self.participants += 1
            events.append(Arrived(user_id, self.username(user_id), self.participants))
        return events

    def rename(self, user_id: str, username: str | None) -> list[Event]:
        """Rename a connected or ranked user, as a repeated join does."""
        name = default_username(user_id) if username is None else username
        person = self._people.setdefault(user_id, _Person(default_username(user_id)))
        if person.username == name:
            return []
        person.username = name
        return self._renamed(user_id)

    def _renamed(self, user_id: str) -> list[Event]:
        """The event, unless the user goes by a name that the host gave."""
        return [] if user_id in self.host.names else [Renamed(user_id)]

    def leave(self, user_id: str, now: float) -> list[Event]:
        """Remove one connection of the user."""
        person = self._people[user_id]
        person.connections -= 1
        if person.connections:
            return []
        self.participants -= 1
        if not self.participants:
            self.empty_since = now
        self._forget_unless_needed(user_id)
        return [Left(user_id, self.host.names.get(user_id, person.username), self.participants)]

    def _forget_unless_needed(self, user_id: str) -> None:
        person = self._people[user_id]
        if not person.connections and person.holder is None and not self.is_ranked(user_id):
            del self._people[user_id]

    # Who may play as whom

    def holder(self, user_id: str) -> str | None:
        """Who alone may play as the user, as far as is known here; None while everybody may."""
        person = self._people.get(user_id)
        return None if person is None else person.holder

    @property
    def holders(self) -> dict[str, str]:
        """The users who are held, each with the holder."""
        return {user_id: one.holder for user_id, one in self._people.items() if one.holder is not None}

    def hold(self, user_id: str, holder: str | None) -> None:
        """Let `holder` alone play as the user from now on, or everybody where that is None."""
        if holder is not None:
            self._know(user_id)
        if user_id in self._people:
            self._people[user_id].holder = holder
            self._forget_unless_needed(user_id)

    def grant(self, claim: Claim) -> None:
        """Make the claim's holder the user's, if nobody else holds the user. Raises `Refused` (`taken`)."""
        if not claim.allowed_by(self.holder(claim.user_id)):
            raise taken(claim)
        self.hold(claim.user_id, claim.holder)

    # Scores

    def score(self, user_id: str, points: int, op_id: str | None, now: float) -> tuple[Answer, list[Event]]:
        """Add points once per opId. Raises `Refused` if the total would leave ±10¹²."""
        if op_id is not None and (first := self.ops.recall(user_id, op_id)) is not None:
            return self.answer(user_id, first, op_id), []
        total = (self.total(user_id) or 0) + points
        check_total(total, op_id)
        event = self.place(user_id, total, points, now)
        self.version += 1
        if op_id is not None:
            self.ops.remember(user_id, op_id, points, now)
        return self.answer(user_id, points, op_id), [event]

    def place(self, user_id: str, total: int, points: int, received_at: float) -> Scored | Restored:
        """Put the player on the board with this total, reached by `points`; the caller counts the version.

        An update of a player who is not shown counts, and nobody is named.
        """
        if user_id in self.host.unshown:
            self._put(user_id, total)
            return Restored(1)
        old_rank = self.board.rank(user_id)
        self.board.place(user_id, total)
        if old_rank is None:
            self._know(user_id)
        new_rank = self.board.rank(user_id)
        assert new_rank is not None
        return Scored(user_id, self.username(user_id), points, total, old_rank, new_rank, received_at)

    def show(self, scores: Mapping[str, int]) -> bool:
        """Make the totals exactly `scores`, forget who is neither among them nor connected; return if they changed."""
        before = self.board.scores if not self._aside else {**self.board.scores, **self._aside}
        if before == scores:
            return False
        if self.board.scores.keys() - scores.keys():
            self.board.clear()
        self._aside.clear()
        for user_id, score in scores.items():
            self._put(user_id, score)
        self._people = {
            user_id: person
            for user_id, person in self._people.items()
            if person.connections or person.holder is not None or user_id in scores
        }
        return True

    def _put(self, user_id: str, total: int) -> None:
        """Give the player this total, on the board unless the host says otherwise."""
        if user_id in self.host.unshown:
            self._aside[user_id] = total
        else:
            self.board.place(user_id, total)
        self._know(user_id)

    def total(self, user_id: str) -> int | None:
        """The player's score, shown or not; None before the first."""
        aside = self._aside.get(user_id)
        return self.board.score(user_id) if aside is None else aside

    def is_ranked(self, user_id: str) -> bool:
        """Whether the player has a score, shown or not."""
        return user_id in self.board or user_id in self._aside

    def _know(self, user_id: str) -> None:
        """Count the user among the people, whom `max_players` bounds, also where nobody joined here."""
        if user_id not in self._people:
            self._people[user_id] = _Person(default_username(user_id))

    def answer(self, user_id: str, points: int, op_id: str | None, *, durable: bool = True) -> Answer:
        """The player's current place, as the answer to an update of `points`."""
        return Answer(
            user_id=user_id,
            op_id=op_id,
            points=points,
            score=self.total(user_id) or 0,
            rank=self.board.rank(user_id),
            total_players=len(self.board),
            version=self.version,
            epoch=self.epoch,
            durable=durable,
        )

    def populate(self) -> list[Event]:
        """Set the scores of the six demo users, and of no one else."""
        for user in DEMO_USERS.values():
            self._put(user.id, user.demo_score)
        self.version += 1
        return [POPULATED]

    def reset(self) -> list[Event]:
        """Clear all scores and forget users who are not connected."""
        self.show({})
        self.version += 1
        return [CLEARED]

    # The host

    @property
    def is_of_use(self) -> bool:
        """Whether there is something in it that would be lost with it: scores, or what the host decided."""
        return bool(len(self.board) or self._aside or self.host)

    def knows(self, user_id: str) -> bool:
        """Whether the user is, or was, in the session."""
        return user_id in self._people or user_id in self._joined or self.is_ranked(user_id)

    @property
    def everybody(self) -> list[str]:
        """Who may come back while joining is locked."""
        return sorted(self._people.keys() | self._joined | (self.host.locked or set()))

    def follow(self, decisions: Decisions) -> list[Event]:
        """Take decisions of the host in, wherever they were made."""
        events: list[Event] = []
        for key in self.host.merge(decisions):
            kind, _, user_id = key.partition(":")
            if kind == NAME:
                events.append(Renamed(user_id))
            elif kind in {HIDDEN, REMOVED}:
                self._sort(user_id)
                events.append(Restored())
                if kind == REMOVED and self.host.is_removed(user_id):
                    events.append(Removed(user_id))
            else:
                events.append(Staged())
        return events

    def _sort(self, user_id: str) -> None:
        """Have the player's score where it belongs: on the board, or aside."""
        total = self.total(user_id)
        self._aside.pop(user_id, None)
        self.board.remove(user_id)
        if total is not None:
            self._put(user_id, total)

    # Reading

    def username(self, user_id: str) -> str:
        """The name under which the user is shown: the host's, or that of the last join."""
        if user_id in self.host.names:
            return self.host.names[user_id]
        person = self._people.get(user_id)
        return default_username(user_id) if person is None else person.username

    def is_connected(self, user_id: str) -> bool:
        """Whether the user has a connection now."""
        person = self._people.get(user_id)
        return person is not None and person.connections > 0

    def entry(self, standing: Standing) -> Entry:
        """The standing as a row of the board."""
        look = appearance_of(standing.user_id)
        return Entry(
            rank=standing.rank,
            user_id=standing.user_id,
            username=self.username(standing.user_id),
            avatar=look.avatar,
            color=look.color,
            score=standing.score,
            is_connected=self.is_connected(standing.user_id),
        )

    def entries(self, limit: int, offset: int = 0) -> tuple[Entry, ...]:
        """A page of the board."""
        return tuple(self.entry(standing) for standing in self.board.page(limit, offset))

    def is_listed(self, user_id: str, top: int) -> bool:
        """Whether the player is among the first `top` rows."""
        position = self.board.position(user_id)
        return position is not None and position < top
