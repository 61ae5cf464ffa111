"""What the notebook knows of the session, as pure data.

Law of the file: no clock, no asyncio, no widget. Times come in as arguments, in Unix seconds of
the service's clock (the caller adds its offset). The result is one frozen `View`.
Every buffer is a ring: an hour of demo takes as much memory as ten minutes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Self

from cockpit.live.outage_record import Mark, Outage, Outages

SECONDS_KEPT = 600
OWN_KEPT = 200
NOTICES_KEPT = 8
CONNECTED_KEPT = 1000
LATENCIES_PER_SECOND = 200
BOARDS_REMEMBERED = 512


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One line of the board."""

    rank: int
    user: str
    name: str
    avatar: str
    color: str
    score: int
    connected: bool

    @classmethod
    def from_wire(cls, entry: Mapping[str, Any]) -> Self:
        """Take an entry of `leaderboard`, on `/ws` or over REST."""
        return cls(
            entry["rank"],
            entry["userId"],
            entry["username"],
            entry["avatar"],
            entry["color"],
            entry["score"],
            entry["isConnected"],
        )


@dataclass(frozen=True, slots=True)
class BoardView:
    """One `leaderboard-update`; times in Unix seconds of the service's clock."""

    epoch: str = ""
    version: int = -1
    updates: int = 0
    oldest_at: float | None = None
    entries: tuple[BoardRow, ...] = ()
    players: int = 0
    participants: int = 0
    degraded: bool = False

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Self:
        """Take the `data` of a `leaderboard-update`."""
        oldest = data["oldestAt"]
        return cls(
            data["epoch"],
            data["version"],
            data["updates"],
            None if oldest is None else oldest / 1000,
            tuple(BoardRow.from_wire(entry) for entry in data["leaderboard"]),
            data["totalPlayers"],
            data["totalParticipants"],
            data["degraded"],
        )

    def entry(self, user: str) -> BoardRow | None:
        """The line of `user`, or None if the board does not list them."""
        return next((entry for entry in self.entries if entry.user == user), None)


@dataclass(slots=True)
class LiveSecond:
    """What happened within one second."""

    at: int
    updates: int = 0
    boards: int = 0
    latencies: list[float] = field(default_factory=list)
    board: BoardView | None = None  # the last one


@dataclass(frozen=True, slots=True)
class OwnLatency:
    """A score that this notebook sent and saw again: when it was seen, and how long that took, in ms."""

    at: float
    milliseconds: float


@dataclass(frozen=True, slots=True)
class View:
    """Everything a render needs, at one instant `at`. Per-second tuples are oldest first and end with the
    last *full* second; a second without boards has None as its latency (milliseconds).
    """

    at: float
    board: BoardView
    connection: str
    updates: tuple[int, ...]
    boards: tuple[int, ...]
    typical: tuple[float | None, ...]
    worst: tuple[float | None, ...]
    own: tuple[OwnLatency, ...]
    notices: tuple[str, ...]
    updates_total: int
    marks: tuple[Mark, ...]
    outage: Outage

    @property
    def seconds_ago(self) -> tuple[int, ...]:
        """The x axis of the per-second tuples: -n … -1."""
        return tuple(range(-len(self.updates), 0))

    def per_second(self, values: Iterable[int], over: int = 3) -> float:
        """The mean of the last `over` full seconds."""
        last = tuple(values)[-over:]
        return sum(last) / len(last) if last else 0.0

    @property
    def latency(self) -> float | None:
        """The median of the last ten seconds' typical latencies, in ms; None where no update was seen."""
        known = [value for value in self.typical[-10:] if value is not None]
        return median(known) if known else None


class LiveState:
    """Folds what the client receives into what the charts show."""

    def __init__(self, seconds: int = SECONDS_KEPT) -> None:
        self.board = BoardView()
        self.connection = "connecting"
        self.updates_total = 0
        self.outages = Outages()
        self.connected: dict[str, str] = {}  # user to name: players that joined and have not left
        self._seconds: deque[LiveSecond] = deque(maxlen=seconds)
        self._own: deque[OwnLatency] = deque(maxlen=OWN_KEPT)
        self._notices: deque[str] = deque(maxlen=NOTICES_KEPT)

    def take_board(self, board: BoardView, at: float) -> bool:
        """Take a frame that arrived at `at`; return False when it is older than the one that is shown.

        A frame of another epoch is newer; in the same epoch, one whose version is not lower.
        """
        if board.epoch == self.board.epoch and board.version < self.board.version:
            return False
        self.board = board
        self.outages.board(at, degraded=board.degraded)
        second = self._second(at)
        second.boards += 1
        second.updates += board.updates
        second.board = board
        self.updates_total += board.updates
        if board.oldest_at is not None and len(second.latencies) < LATENCIES_PER_SECOND:
            second.latencies.append(max(at - board.oldest_at, 0.0) * 1000)
        return True

    def take_own(self, latency: float, at: float) -> None:
        """Note that a score of this notebook was on the board at `at`, `latency` seconds after it was sent."""
        self._own.append(OwnLatency(at, latency * 1000))

    def take_notice(self, text: str) -> None:
        """Keep a notice, such as that a player came or went, in words."""
        self._notices.append(text)

    def take_presence(self, user: str, name: str, *, here: bool) -> None:
        """Note that a player came or went; beyond 1,000 the earliest is forgotten."""
        self.connected.pop(user, None)
        if here:
            self.connected[user] = name
        if len(self.connected) > CONNECTED_KEPT:
            del self.connected[next(iter(self.connected))]

    def view(self, now: float, window: int = 60) -> View:
        """Return the last `window` full seconds before `now`."""
        return self._at(now, self.board, window)

    def past(self, at: float, window: int = 60) -> View:
        """Return the same as of `at`, within the last ten minutes; an empty board before the first."""
        earlier = (second.board for second in reversed(self._seconds) if second.at < at and second.board is not None)
        return self._at(at, next(earlier, BoardView()), window)

    def _at(self, now: float, board: BoardView, window: int) -> View:
        seen = {second.at: second for second in self._seconds}
        nothing = LiveSecond(0)
        row = [seen.get(at, nothing) for at in range(int(now) - window, int(now))]
        return View(
            at=now,
            board=board,
            connection=self.connection,
            updates=tuple(second.updates for second in row),
            boards=tuple(second.boards for second in row),
            typical=tuple(median(second.latencies) if second.latencies else None for second in row),
            worst=tuple(max(second.latencies) if second.latencies else None for second in row),
            own=tuple(own for own in self._own if now - window <= own.at <= now),
            notices=tuple(self._notices),
            updates_total=self.updates_total,
            marks=tuple(mark for mark in self.outages.marks if now - window <= mark.at <= now),
            outage=self.outages.last,
        )

    def _second(self, at: float) -> LiveSecond:
        whole = int(at)
        # After a step of the clock, or a new estimate of its offset, an earlier time counts into the last second.
        if self._seconds and whole <= self._seconds[-1].at:
            return self._seconds[-1]
        self._seconds.append(LiveSecond(whole))
        return self._seconds[-1]


class Sightings:
    """Finds when a score was first on a board: one of its epoch with its version or a higher one.

    The answer to a score and its board come in either order, so both are remembered. All times are
    of the caller's clock.
    """

    def __init__(self) -> None:
        self._boards: deque[tuple[str, int, float]] = deque(maxlen=BOARDS_REMEMBERED)
        self._waiting: deque[tuple[str, int, float]] = deque(maxlen=BOARDS_REMEMBERED)

    def answered(self, epoch: str, version: int, sent_at: float) -> list[float]:
        """Take the version of a score sent at `sent_at`; return its latency if a board has shown it already."""
        for board_epoch, board_version, at in self._boards:
            if at >= sent_at and board_epoch == epoch and board_version >= version:
                return [at - sent_at]
        self._waiting.append((epoch, version, sent_at))
        return []

    def board(self, epoch: str, version: int, at: float) -> list[float]:
        """Take a board that arrived at `at`; return the latencies of the scores that it is the first to show."""
        self._boards.append((epoch, version, at))
        shown = [score for score in self._waiting if score[0] == epoch and score[1] <= version]
        for score in shown:
            self._waiting.remove(score)
        return [at - sent_at for _, _, sent_at in shown]
