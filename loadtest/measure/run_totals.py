"""What a run adds up to: the figures of one generator process, merged exactly over several.

A `Tally` holds histograms and counts, never an average, so that merging loses nothing; `metrics.METRICS` names what
is computed from it. A `Second` is one line of the run's course.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Self

from loadtest.measure.histogram import Histogram

PERCENTILES: Final = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9}
BOUNDED: Final = ("latency", "age", "ack", "connect", "join", "skew")  # times of which a lower bound is known, too
SERVICE: Final = "service"  # its key in `waited`, beside those of generator processes
RELIEVED: Final = ("latency", "age", "ack")  # of these also a lower bound without the waiting for a CPU due to others
HISTOGRAMS: Final = (
    *BOUNDED, *(f"{name}_lower" for name in BOUNDED), *(f"{name}_relieved" for name in RELIEVED),
    "inside", "send_lag", "receive_lag", "loop_lag",
)  # fmt: skip


@dataclass(slots=True)
class Counts:
    """Totals of the measured time."""

    updates: int = 0  # intended within the measured time
    unsent: int = 0  # of them, those that the kernel did not take by the end
    answered: int = 0
    unanswered: int = 0
    refused: int = 0
    pairs_owed: int = 0
    pairs_received: int = 0
    pairs_lost: int = 0
    pairs_unresolved: int = 0  # answered in an epoch that ended before the receiver was shown that version
    versions_owed: int = 0
    versions_missed: int = 0
    gaps: int = 0  # boards that showed their receiver that it had missed versions
    reordered: int = 0  # boards whose version was lower than one before on the same socket


@dataclass(slots=True)
class Tally:
    """The totals of a run's measured time; times in seconds.

    Of each of the times in `BOUNDED` there are two histograms of the same events: an upper bound and, under `…_lower`,
    a lower one, which older files lack.

    It is as wide as the table it fills: its fields are what the rows of `metrics.METRICS` are computed from, and the
    keys of `totals` in a run's file, which old files have too.

    `busy` maps each generator process to its CPU share of one core, second by second. `wrong` are
    the correctness checks that failed, one sentence each. `shares` says of each generator process what its own
    players, updates and pairs were, `service` of each address the CPU seconds it used in so many seconds of
    measured time, and its resident bytes, second by second. `waited` says of the service and of each generator process
    for how many of so many measured `seconds` others kept it from a CPU (`cpu_waiting.Waiting`), where that is known.
    """

    latency: Histogram = field(default_factory=Histogram)  # intended time → board, every pair
    age: Histogram = field(default_factory=Histogram)  # peaks of the age of what a receiver was shown
    ack: Histogram = field(default_factory=Histogram)  # sent → answer
    connect: Histogram = field(default_factory=Histogram)  # TCP and upgrade
    join: Histogram = field(default_factory=Histogram)  # join-demo → both replies
    skew: Histogram = field(default_factory=Histogram)  # a board's last receiver minus its first, in one process
    latency_lower: Histogram = field(default_factory=Histogram)  # sent → board, as early as it can have come
    age_lower: Histogram = field(default_factory=Histogram)
    ack_lower: Histogram = field(default_factory=Histogram)
    connect_lower: Histogram = field(default_factory=Histogram)
    join_lower: Histogram = field(default_factory=Histogram)
    skew_lower: Histogram = field(default_factory=Histogram)
    latency_relieved: Histogram = field(default_factory=Histogram)  # the lower bound without what is in `waited`
    age_relieved: Histogram = field(default_factory=Histogram)
    ack_relieved: Histogram = field(default_factory=Histogram)
    inside: Histogram = field(default_factory=Histogram)  # a board's time inside the service
    send_lag: Histogram = field(default_factory=Histogram)  # intended → sent
    receive_lag: Histogram = field(default_factory=Histogram)  # in the kernel → read
    loop_lag: Histogram = field(default_factory=Histogram)  # how late a timer fires
    counts: Counts = field(default_factory=Counts)
    errors: Counter[str] = field(default_factory=Counter)  # by code
    closes: Counter[str] = field(default_factory=Counter)  # by close code; our own goodbyes are not counted
    busy: dict[str, list[float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    shares: dict[str, dict[str, float]] = field(default_factory=dict)
    service: dict[str, dict[str, Any]] = field(default_factory=dict)
    waited: dict[str, dict[str, float]] = field(default_factory=dict)
    players: int = 0  # that took part at the end
    absent: int = 0  # players that were not connected, in the measured second with the most of them
    frames: int = 0
    bytes: int = 0
    boards_received: int = 0  # frames that were boards, at every receiver
    boards: int = 0  # different ones
    board_updates: int = 0
    seconds: float = 0.0  # measured
    clock_step: float = 0.0  # seconds by which a process' clock was set at once, the largest
    stamped: bool = True  # the kernel told when a message was there

    def merge(self, other: Tally) -> Self:
        """Add another process' totals."""
        for name in HISTOGRAMS:
            getattr(self, name).merge(getattr(other, name))
        for count in fields(Counts):
            setattr(self.counts, count.name, getattr(self.counts, count.name) + getattr(other.counts, count.name))
        self.errors += other.errors
        self.closes += other.closes
        self.busy |= other.busy
        self.wrong += other.wrong
        self.shares |= other.shares
        self.service |= other.service
        self.waited |= other.waited
        self.players += other.players
        self.absent += other.absent
        self.frames += other.frames
        self.bytes += other.bytes
        self.boards_received += other.boards_received
        # Each process sees every board of the session.
        if other.boards > self.boards:
            self.boards, self.board_updates = other.boards, other.board_updates
        self.seconds = max(self.seconds, other.seconds)
        self.clock_step = max(self.clock_step, other.clock_step, key=abs)
        self.stamped &= other.stamped
        return self

    def to_dict(self) -> dict[str, Any]:
        """A form for JSON and for Locust's messages."""
        plain: dict[str, Any] = {name: getattr(self, name).to_dict() for name in HISTOGRAMS}
        plain["counts"] = asdict(self.counts)
        for name in ("errors", "closes", "busy", "shares", "service", "waited"):
            plain[name] = dict(getattr(self, name))
        for name in (
            "wrong",
            "players",
            "absent",
            "frames",
            "bytes",
            "boards_received",
            "boards",
            "board_updates",
            "seconds",
            "clock_step",
            "stamped",
        ):
            plain[name] = getattr(self, name)
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The tally of which `to_dict` is the plain form."""
        values: dict[str, Any] = dict(plain)
        values |= {name: Histogram.from_dict(values[name]) for name in HISTOGRAMS if name in values}
        values["counts"] = Counts(**values["counts"])
        values |= {name: Counter(values[name]) for name in ("errors", "closes")}
        return cls(**values)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


COUNTED: Final = ("sent", "answered", "frames", "bytes", "errors", "closes", "owed", "missed")
COURSES: Final = ("latency", "ack", "skew", "inside", "lag")
# Courses for the verdict alone, without percentiles for readers.
JUDGED_COURSES: Final = ("latency_lower", "ack_lower", "skew_lower", "latency_relieved", "ack_relieved", "send_lag")


@dataclass(slots=True)
class Second:
    """One second of a run, as wide as its line in the run's file; `at` is the Unix second in which it ended.

    What is counted became known in this second. `latency` holds the pairs of measured updates. `service` is,
    by address, its share of a core (`cpu`) and its resident bytes (`memory`). `absent` is the largest number of players
    that were not connected at once, breaks of the scenario apart.
    """

    at: int
    phase: str
    players: int = 0
    absent: int = 0
    sent: int = 0
    answered: int = 0
    frames: int = 0
    bytes: int = 0
    errors: int = 0
    closes: int = 0
    owed: int = 0  # versions
    missed: int = 0
    latency: Histogram = field(default_factory=Histogram)
    ack: Histogram = field(default_factory=Histogram)
    skew: Histogram = field(default_factory=Histogram)
    inside: Histogram = field(default_factory=Histogram)
    lag: Histogram = field(default_factory=Histogram)
    latency_lower: Histogram = field(default_factory=Histogram)
    ack_lower: Histogram = field(default_factory=Histogram)
    skew_lower: Histogram = field(default_factory=Histogram)
    send_lag: Histogram = field(default_factory=Histogram)
    latency_relieved: Histogram = field(default_factory=Histogram)
    ack_relieved: Histogram = field(default_factory=Histogram)
    cpu: dict[str, float] = field(default_factory=dict)
    service: dict[str, dict[str, float]] = field(default_factory=dict)

    def merge(self, other: Second) -> Self:
        """Add what another process saw in the same second, or the same one a moment later."""
        same_process = bool(self.cpu.keys() & other.cpu.keys())
        for name in ("players", "absent"):
            ours, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, max(ours, theirs) if same_process else ours + theirs)
        for name in COUNTED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in (*COURSES, *JUDGED_COURSES):
            getattr(self, name).merge(getattr(other, name))
        self.cpu |= other.cpu
        self.service |= other.service
        return self

    def to_dict(self) -> dict[str, Any]:
        """A form for JSON and for Locust's messages; `…Ms` are for readers, the histograms for machines."""
        plain: dict[str, Any] = {
            name: getattr(self, name) for name in ("at", "phase", "players", "absent", *COUNTED, "cpu", "service")
        }
        plain["pairs"] = self.latency.count
        plain |= {name: getattr(self, name).to_dict() for name in JUDGED_COURSES}
        for name in COURSES:
            histogram: Histogram = getattr(self, name)
            plain[name] = histogram.to_dict()
            for label in ("p50", "p99"):
                value = _number(histogram.percentile(PERCENTILES[label]))
                plain[f"{name}{label.upper()}Ms"] = None if value is None else round(value * 1000, 3)
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The second of which `to_dict` is the plain form."""
        names = {one.name for one in fields(cls)}
        values = {name: value for name, value in plain.items() if name in names}
        values |= {name: Histogram.from_dict(values[name]) for name in (*COURSES, *JUDGED_COURSES) if name in values}
        return cls(**values)
