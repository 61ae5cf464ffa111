"""What was done to a service on purpose, and how long it took to show and to be over, as pure data.

Law of the file: no clock, no asyncio, no widget; times come in as arguments, all of one clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

FAULTS_KEPT = 64  # of a run: a fault that was forgotten would be judged as if it had been the service
SURE = 1.0  # seconds that all has to be well for a fault to be over


class FaultKind(Enum):
    """The faults whose cause is taken away later, so that it has to be known which ones that mends."""

    REDIS_STOPPED = auto()
    SERVICE_FROZEN = auto()


@dataclass(slots=True)
class Fault:
    """One fault: what began it at `at`, when its cause was taken away, and what was seen of it.

    `seen_as` is the first state that was not well; what has not happened (yet) is None.
    """

    name: str
    at: float
    mended_at: float | None = None
    detected_at: float | None = None
    seen_as: str = ""
    recovered_at: float | None = None
    kind: FaultKind | None = None
    _well_since: float | None = None

    @property
    def detected_after(self) -> float | None:
        """Seconds from its beginning to the first look at which something was wrong."""
        return None if self.detected_at is None else self.detected_at - self.at

    @property
    def recovered_after(self) -> float | None:
        """Seconds from the end of its cause to the first look from which on all was well."""
        if self.recovered_at is None or self.mended_at is None:
            return None
        return max(self.recovered_at - self.mended_at, 0.0)

    @property
    def over(self) -> bool:
        """Whether nothing more is to be seen of it."""
        return self.recovered_at is not None

    def look(self, at: float, wrong: str | None) -> None:
        """Somebody looked: `wrong` says what was not well, None that all was."""
        if self.over:
            return
        if wrong is not None:
            self._well_since = None
            if self.detected_at is None:
                self.detected_at, self.seen_as = at, wrong
            return
        if self._well_since is None:
            self._well_since = at
        if self.mended_at is None:
            return
        well_since = max(self._well_since, self.mended_at)
        if at - well_since >= SURE:
            self.recovered_at = well_since

    def __str__(self) -> str:
        """What is known of it, in a sentence."""
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
        """Whether somebody should still look."""
        return any(not fault.over for fault in self._kept)

    def begin(self, name: str, at: float, *, kind: FaultKind | None = None) -> Fault:
        """A fault begins; one of a kind lasts until `mend`, one of none is mended in the same moment."""
        return self.add(Fault(name, at, at if kind is None else None, kind=kind))

    def mend(self, kind: FaultKind, at: float) -> None:
        """The cause of all faults of the kind was taken away."""
        for fault in self._kept:
            if fault.kind is kind and fault.mended_at is None:
                fault.mended_at = at

    def add(self, fault: Fault) -> Fault:
        """A fault that somebody else looks after, or `begin` made."""
        self._kept.append(fault)
        return fault

    def look(self, at: float, wrong: str | None) -> None:
        """Somebody looked at the service."""
        for fault in self._kept:
            fault.look(at, wrong)
