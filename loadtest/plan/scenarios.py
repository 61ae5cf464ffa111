"""What a swarm does: who plays, when each player scores, and when a connection ends on purpose.

A scenario is a small frozen object made from the `RunSpec`. `Steady` is the basic one; each of the others overrides
one or two methods and says what it is for and how late the last screens may be. To add one, write such a class and
add it to `_CLASSES`: `run`, `ramp`, Locust and the desk offer it, and everything else is the same for all. One that
changes the rate keeps each player within `MOST_UPDATES` itself.

`stream` is always the number of the generator process, `player` that of the player within it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Protocol, Self
from zlib import crc32

import numpy as np

from loadtest.judge.gates import DEFAULT_GATES
from loadtest.plan.score_times import Schedule
from loadtest.replay import score_log
from loadtest.replay.log_format import LogFormat

if TYPE_CHECKING:
    from loadtest.plan.run_spec import RunSpec  # which knows the scenarios' names

POINTS: Final = (10, 25, 50, 100)
# The wire contract allows a connection 20 frames a second, 40 at once. Random arrivals at 80 % of that
# stay within it except for about one update in 10⁸, which is sent again.
MOST_UPDATES: Final = 16.0  # a second per player

ONE_IN: Final = 20  # one in so many plays (audience) or never reads (slow)
STORM_EVERY: Final = 10.0  # seconds
STAY: Final = 20.0  # mean seconds that a player of churn stays
AWAY: Final = 2.0  # mean seconds that it is away


class Role(Enum):
    """The purpose of a connection."""

    PLAYS = "plays"
    WATCHES = "watches"
    STUCK = "stuck"  # joins, and never reads


@dataclass(frozen=True, slots=True)
class Break:
    """A connection ends at `at` (seconds from the start of the schedule) and comes back after `away` seconds.

    An `abrupt` one ends without a close frame and is still owed every update. The others leave: they stay until they
    were shown what was meant before, a second at least, and are then owed nothing. Scores due while away are not sent.
    """

    at: float
    away: float
    abrupt: bool


class Scenario(Protocol):
    """What the swarm needs from a scenario."""

    purpose: ClassVar[str]  # for the help of the commands
    latency_gate: ClassVar[str]  # how late the last screens may be: the first of its default gates

    @property
    def members(self) -> int | None:
        """How many players it needs; None if any number will do."""

    @property
    def lasts(self) -> float | None:
        """Its own duration in seconds; None if it has no end."""

    def role(self, player: int, stream: int) -> Role:
        """What the player does."""

    def who(self, player: int, stream: int) -> tuple[str, str] | None:
        """The player's user id and name; None if the swarm chooses them."""

    def times(self, player: int, stream: int) -> Iterator[float]:
        """The player's intended times, in seconds from the start of the schedule; may end."""

    def points(self, player: int, stream: int) -> Iterator[int]:
        """The points of the player's updates, at least as many as there are times."""

    def breaks(self, player: int, stream: int) -> Iterator[Break]:
        """When the player's connection ends on purpose."""

    def faults(self) -> Iterator[tuple[float, str]]:
        """What is done to all players at once, for the report: (seconds from the start of the schedule, text)."""

    def truth(self, stream: int) -> dict[str, int] | None:
        """The final scores of the process's players, if they are known in advance."""


@dataclass(frozen=True, slots=True)
class Steady:
    """Everybody joins, stays, and scores at an even rate."""

    purpose: ClassVar[str] = "everybody scores at an even rate"
    # A board that comes a quarter of a second after the score still looks like the answer to it. On two shared cores
    # 200 players get about 60 ms, including a tick of the service.
    latency_gate: ClassVar[str] = "latency_p99<250ms"
    schedule: Schedule
    seed: int

    @classmethod
    def of(cls, spec: RunSpec) -> Self:
        """The scenario for the spec. Raises ValueError if the rate is higher than a player may send."""
        rate = spec.each * cls.each()
        if rate > MOST_UPDATES:
            raise ValueError(
                f"expected at most {MOST_UPDATES:g} updates a second per player, so that no connection exceeds "
                f"the service's limit, got {rate:g}; use more players or a lower rate"
            )
        return cls(Schedule(rate, spec.seed, spec.arrivals), spec.seed)

    @staticmethod
    def each() -> float:
        """Factor by which the rate of a player that scores exceeds the mean rate."""
        return 1.0

    @property
    def members(self) -> int | None:
        return None

    @property
    def lasts(self) -> float | None:
        return None

    def role(self, player: int, stream: int) -> Role:
        return Role.PLAYS

    def who(self, player: int, stream: int) -> tuple[str, str] | None:
        return None

    def times(self, player: int, stream: int) -> Iterator[float]:
        return self.schedule.times(player, stream)

    def points(self, player: int, stream: int) -> Iterator[int]:
        # By hash: a generator of random numbers for each player would cost more memory than its socket.
        for number in count():
            yield POINTS[crc32(b"%d %d %d %d" % (self.seed, stream, player, number)) % len(POINTS)]

    def breaks(self, player: int, stream: int) -> Iterator[Break]:
        return iter(())

    def faults(self) -> Iterator[tuple[float, str]]:
        return iter(())

    def truth(self, stream: int) -> dict[str, int] | None:
        return None


class Burst(Steady):
    """Everybody scores at the same instants: the bell rings, all answer."""

    __slots__ = ()
    purpose: ClassVar[str] = "everybody scores at the same instants"
    # The last of the simultaneous scores waits until all before it are read and answered: 200 players get 90–100 ms at
    # p99 on two shared cores, and the time grows with their number.
    latency_gate: ClassVar[str] = "latency_p99<500ms"

    def times(self, player: int, stream: int) -> Iterator[float]:
        return (number / self.schedule.rate for number in count(1))


class Spike(Steady):
    """Every ten seconds all connections break and reconnect at once: a reconnect storm."""

    __slots__ = ()
    purpose: ClassVar[str] = "every 10 s all connections break and reconnect"
    # An update due during a storm is seen only once its receiver is back, and so it is in the p99: 200 players get
    # 300–340 ms. The bound leaves room for a storm of several hundred players; a longer one would lose the audience.
    latency_gate: ClassVar[str] = "latency_p99<2s"

    def breaks(self, player: int, stream: int) -> Iterator[Break]:
        return (Break(at, 0.0, abrupt=True) for at, _ in self.faults())

    def faults(self) -> Iterator[tuple[float, str]]:
        return (((number - 0.5) * STORM_EVERY, "all connections break") for number in count(1))


class Audience(Steady):
    """One in twenty plays, at twenty times the rate; the others watch."""

    __slots__ = ()
    purpose: ClassVar[str] = "one in twenty plays, the others watch"

    @staticmethod
    def each() -> float:
        return ONE_IN

    def role(self, player: int, stream: int) -> Role:
        return Role.WATCHES if player % ONE_IN else Role.PLAYS


class Slow(Steady):
    """One in twenty joins and never reads; the others must not notice."""

    __slots__ = ()
    purpose: ClassVar[str] = "one in twenty never reads"
    latency_gate: ClassVar[str] = Steady.latency_gate  # the others have the bound of a room without stuck readers

    def role(self, player: int, stream: int) -> Role:
        return Role.STUCK if player % ONE_IN == 1 else Role.PLAYS

    def breaks(self, player: int, stream: int) -> Iterator[Break]:
        # A player that does not read does not see its connection closed, so it reconnects by the clock.
        return self._comebacks() if self.role(player, stream) is Role.STUCK else iter(())

    def _comebacks(self) -> Iterator[Break]:
        return (Break(number * STORM_EVERY, 0.0, abrupt=True) for number in count(1))


class Churn(Steady):
    """Everybody comes and goes: twenty seconds in the room, two outside, on average."""

    __slots__ = ()
    purpose: ClassVar[str] = "everybody comes and goes"
    latency_gate: ClassVar[str] = Steady.latency_gate  # players who left are owed nothing, and the others must not wait

    def breaks(self, player: int, stream: int) -> Iterator[Break]:
        random = np.random.default_rng([self.seed, stream, player, 2])
        at = 0.0
        while True:
            at += random.exponential(STAY)
            away = random.exponential(AWAY)
            yield Break(at, away, abrupt=False)
            at += away


class Soak(Steady):
    """Steady, for hours: the last minute must be like the first, in latency and in memory."""

    __slots__ = ()
    purpose: ClassVar[str] = "steady for an hour; watch the memory"


@dataclass(frozen=True, slots=True)
class Replay(Steady):
    """A score log with its own arrival times, `speed` times as fast; each of its users is a player."""

    purpose: ClassVar[str] = "a score log, --log, with its own arrival times"
    rows: dict[str, list[score_log.LogRow]] = field(repr=False)  # by user, in order of time
    users: tuple[str, ...] = field(repr=False)
    first: float  # the log's own times
    last: float
    starts: float  # seconds from the start of the schedule to the first row, so that the whole log is measured
    speed: float
    generators: int

    @classmethod
    def of(cls, spec: RunSpec) -> Self:
        """The scenario for the spec. Raises ValueError (`BadRow` is one) and `Unreadable` if there is no valid log."""
        if not spec.log:
            raise ValueError("expected a log to replay (--log FILE.csv), got none")
        if not 0 < spec.speed < float("inf"):
            raise ValueError(f"expected a positive speed, got {spec.speed}")
        log = score_log.read(Path(spec.log), LogFormat.of(spec), speed=spec.speed)
        rows: dict[str, list[score_log.LogRow]] = {}
        for row in log:
            rows.setdefault(row.user_id, []).append(row)
        return cls(
            Schedule(1.0, spec.seed),
            spec.seed,
            rows,
            tuple(rows),
            first=log[0].time,
            last=log[-1].time,
            # A margin, so that the first rows fall into the measured time in every process.
            starts=spec.warm_up + 0.1,
            speed=spec.speed,
            generators=spec.processes,
        )

    @property
    def members(self) -> int:
        # The same number in each process, however Locust distributes them.
        return -(-len(self.users) // self.generators) * self.generators

    @property
    def lasts(self) -> float:
        return (self.last - self.first) / self.speed + 0.2

    def _user(self, player: int, stream: int) -> str | None:
        number = player * self.generators + stream
        return self.users[number] if number < len(self.users) else None

    def role(self, player: int, stream: int) -> Role:
        return Role.WATCHES if self._user(player, stream) is None else Role.PLAYS

    def who(self, player: int, stream: int) -> tuple[str, str] | None:
        user = self._user(player, stream)
        return None if user is None else (user, self.rows[user][0].username)

    def times(self, player: int, stream: int) -> Iterator[float]:
        user = self._user(player, stream)
        for row in () if user is None else self.rows[user]:
            yield self.starts + (row.time - self.first) / self.speed

    def points(self, player: int, stream: int) -> Iterator[int]:
        user = self._user(player, stream)
        return iter(()) if user is None else (row.points for row in self.rows[user])

    def truth(self, stream: int) -> dict[str, int]:
        mine = self.users[stream :: self.generators]
        return {user: sum(row.points for row in self.rows[user]) for user in mine}


_CLASSES: Final[dict[str, type[Steady]]] = {
    "steady": Steady,
    "burst": Burst,
    "spike": Spike,
    "audience": Audience,
    "slow": Slow,
    "churn": Churn,
    "soak": Soak,
    "replay": Replay,
}
SCENARIOS: Final[dict[str, Callable[[RunSpec], Scenario]]] = {name: one.of for name, one in _CLASSES.items()}
PURPOSES: Final = {name: one.purpose for name, one in _CLASSES.items()}


def default_gates(scenario: str) -> tuple[str, ...]:
    """The gates of a run of this scenario if none are named: its own latency bound, and no loss."""
    return (_CLASSES[scenario].latency_gate, *DEFAULT_GATES)


def scenario_of(spec: RunSpec) -> Scenario:
    """The scenario that the spec names. Raises ValueError and `score_log.Unreadable` if it cannot be played."""
    return SCENARIOS[spec.scenario](spec)
