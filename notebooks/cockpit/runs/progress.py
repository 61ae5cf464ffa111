"""What a run of the load test has measured so far, as pure data.

Law of the file: no clock, no asyncio, no widget. Lines of a run's file come in
(docs/run-file.md has their fields), times are Unix seconds. Every buffer is a ring or of a fixed
size: a run of an hour takes as much memory as one of ten minutes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from loadtest.judge.without_fault_seconds import OutsideFaults
from loadtest.measure.histogram import Histogram

SECONDS_KEPT = 600
MARKS_KEPT = 16
LOWEST_MS = 0.1
ROWS_PER_DECADE = 8
ROWS = 5 * ROWS_PER_DECADE  # of the heat map: 0.1 ms to 10 s


@dataclass(frozen=True, slots=True)
class Instant:
    """One second of a run; latencies in ms and shares of a core, None where nothing was measured."""

    at: int
    phase: str
    players: int
    sent: int
    pairs: int
    p50: float | None
    p99: float | None
    skew: float | None
    reach: float | None
    generator: float | None
    service: float | None
    heat: tuple[int, ...]  # pairs by latency, in ROWS rows of equal ratio

    @classmethod
    def of(cls, line: Mapping[str, Any]) -> Instant:
        """Take a line of the kind `second`."""
        owed = line["owed"]
        return cls(
            at=line["at"],
            phase=line["phase"],
            players=line["players"],
            sent=line["sent"],
            pairs=line["pairs"],
            p50=line["latencyP50Ms"],
            p99=line["latencyP99Ms"],
            skew=line["skewP99Ms"],
            reach=1 - line["missed"] / owed if owed else None,
            generator=max(line["cpu"].values(), default=None),
            service=sum(one["cpu"] for one in line["service"].values()) if line["service"] else None,
            heat=coarse(Histogram.from_dict(line["latency"]).buckets()),
        )


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """The verdict on a run: PASS, FAIL or INVALID, the reasons, `metrics` and their lower bounds (times in seconds).

    `advice` is what to do about an INVALID one; of each gate it is known whether it held.
    """

    name: str
    reasons: tuple[str, ...]
    metrics: Mapping[str, float | None]
    lower: Mapping[str, float] = field(default_factory=dict)
    advice: tuple[str, ...] = ()
    gates: tuple[tuple[str, bool | None], ...] = ()


class RunProgress:
    """Folds the lines of one run into what the charts show."""

    def __init__(self) -> None:
        self.facts: Mapping[str, Any] = {}
        self.verdict: RunVerdict | None = None
        self.outside: OutsideFaults | None = None  # the same verdict without the seconds of faults, if there were any
        self.seconds: deque[Instant] = deque(maxlen=SECONDS_KEPT)
        self.marks: deque[tuple[float, str]] = deque(maxlen=MARKS_KEPT)
        self.total = [0] * ROWS
        self.measured = 0  # seconds so far

    def take(self, line: Mapping[str, Any]) -> None:
        """Take the next line of the file."""
        kind = line["kind"]
        if kind == "run":
            self.facts = line
        elif kind == "second":
            second = Instant.of(line)
            self.seconds.append(second)
            self.measured += second.phase == "measure"
            self.total = [one + more for one, more in zip(self.total, second.heat, strict=True)]
        elif kind == "mark":
            self.mark(line["at"], line["text"])
        elif kind == "result":
            self.verdict = RunVerdict(
                line["verdict"],
                tuple(line["reasons"]),
                line["metrics"],
                line.get("atLeast", {}),
                tuple(line.get("advice", ())),
                tuple((gate["gate"], gate["held"]) for gate in line.get("gates", ())),
            )

    def mark(self, at: float, text: str) -> None:
        """Note that something was done to the service or its players."""
        self.marks.append((at, text))

    @property
    def now(self) -> float:
        """The end of the last known second; 0 before the first."""
        return float(self.seconds[-1].at) if self.seconds else 0.0

    @property
    def last(self) -> Instant | None:
        """The last known second."""
        return self.seconds[-1] if self.seconds else None

    def window(self, length: int = 60) -> list[Instant]:
        """Return the last `length` seconds."""
        return [second for second in self.seconds if second.at > self.now - length]


def row_of(milliseconds: float) -> int:
    """Return the row of the heat map for a latency."""
    if milliseconds <= LOWEST_MS:
        return 0
    return min(int(math.log10(milliseconds / LOWEST_MS) * ROWS_PER_DECADE), ROWS - 1)


def coarse(buckets: Iterable[tuple[float, int]]) -> tuple[int, ...]:
    """Return the buckets of a histogram (middle in seconds, count) as rows of the heat map."""
    rows = [0] * ROWS
    for middle, count in buckets:
        rows[row_of(middle * 1000)] += count
    return tuple(rows)
