"""The faults injected into a service, and how long each took to be detected and to be over, as pure data.

Law of the file: no clock, no asyncio, no widget; times come in as arguments, all of one clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

FAULTS_KEPT = 64  # of a run: a forgotten fault would count against the service
SURE = 1.0  # seconds without a problem after which a fault is over


class FaultKind(Enum):
    """The faults whose cause is removed later, so that `mend` has to know which ones it mends."""

    REDIS_STOPPED = auto()
    SERVICE_FROZEN = auto()


@dataclass(slots=True)
class Fault:
    """One fault: it began at `at`, its cause was removed at `mended_at`, and the rest is what was observed.

    `seen_as` is the first problem that was observed; what has not happened (yet) is None.
    """

    name: str
    at: float
    mended_at: float | None = None
    detected_at: float | None = None
    seen_as: str = ""
    recovered_at: float | None = None
    kind: FaultKind | None = None
    _healthy_since: float | None = None

    @property
    def detected_after(self) -> float | None:
        """Seconds from its beginning to the first observed problem."""
        return None if self.detected_at is None else self.detected_at - self.at

    @property
    def recovered_after(self) -> float | None:
        """Seconds from the end of its cause to the first observation after which there was no problem."""
        if self.recovered_at is None or self.mended_at is None:
            return None
        return max(self.recovered_at - self.mended_at, 0.0)

    @property
    def over(self) -> bool:
        """Whether the service has recovered from it."""
        return self.recovered_at is not None

    def observe(self, at: float, problem: str | None) -> None:
        """Take the state of the service at `at`: a problem in words, or None."""
        if self.over:
            return
        if problem is not None:
            self._healthy_since = None
            if self.detected_at is None:
                self.detected_at, self.seen_as = at, problem
            return
        if self._healthy_since is None:
            self._healthy_since = at
        if self.mended_at is None:
            return
        healthy_since = max(self._healthy_since, self.mended_at)
        if at - healthy_since >= SURE:
            self.recovered_at = healthy_since

    def __str__(self) -> str:
        """What is known of it, in one sentence."""
        parts = [self.name]
        if self.detected_after is not None:
            parts.append(f"detected after {self.detected_after:.2f} s ({self.seen_as})")
        elif self.over:
            parts.append("nothing was noticed of it")
        if self.recovered_after is not None and self.detected_at is not None:
            parts.append(f"recovered after {self.recovered_after:.2f} s")
        return ", ".join(parts)


class Faults:
    """The faults of one run, the last few of them."""

    def __init__(self) -> None:
        self._kept: deque[Fault] = deque(maxlen=FAULTS_KEPT)

    @property
    def all(self) -> tuple[Fault, ...]:
        """Oldest first."""
        return tuple(self._kept)

    @property
    def open(self) -> bool:
        """Whether a fault is not over, so that the service has to be observed."""
        return any(not fault.over for fault in self._kept)

    def begin(self, name: str, at: float, *, kind: FaultKind | None = None) -> Fault:
        """Begin a fault: with a kind it lasts until `mend`, without one its cause is removed at once."""
        return self.add(Fault(name, at, at if kind is None else None, kind=kind))

    def mend(self, kind: FaultKind, at: float) -> None:
        """Note that the cause of all faults of the kind was removed."""
        for fault in self._kept:
            if fault.kind is kind and fault.mended_at is None:
                fault.mended_at = at

    def add(self, fault: Fault) -> Fault:
        """Keep a fault: one made by `begin`, or one that its caller follows."""
        self._kept.append(fault)
        return fault

    def observe(self, at: float, problem: str | None) -> None:
        """Take the state of the service for all faults."""
        for fault in self._kept:
            fault.observe(at, problem)
