"""How much the sockets of a process received, and what CPU that took, within the measured time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import gevent

from loadtest.swarm.run_clock import RunClock


@dataclass(frozen=True, slots=True)
class Traffic:
    """What was received and used, either so far or between two moments."""

    frames: int = 0
    bytes: int = 0
    boards: int = 0
    cpu: float = 0.0  # seconds

    def __sub__(self, other: Traffic) -> Traffic:
        return Traffic(
            self.frames - other.frames, self.bytes - other.bytes, self.boards - other.boards, self.cpu - other.cpu
        )


class MeasuredTraffic:
    """Counts from the beginning of the measured time to its end; `total` is None until both have come."""

    def __init__(self, clock: RunClock, so_far: Callable[[], Traffic]) -> None:
        self.total: Traffic | None = None
        self._clock = clock
        self._so_far = so_far
        self._at_begin: Traffic | None = None
        self._counting: gevent.Greenlet | None = None

    def start(self) -> None:
        """Wait for the measured time and count it, in the background."""
        self._counting = gevent.spawn(self._count)

    def stop(self) -> None:
        """The measured time ends here; the second call does nothing."""
        counting, self._counting = self._counting, None
        if counting is None:
            return
        if self._at_begin is not None:
            self.total = self._so_far() - self._at_begin
        if counting is not gevent.getcurrent():
            counting.kill(block=False)

    def _count(self) -> None:
        gevent.sleep(max(self._clock.begins - self._clock.now(), 0.0))
        self._at_begin = self._so_far()
        if self._clock.ends < float("inf"):
            gevent.sleep(max(self._clock.ends - self._clock.now(), 0.0))
            self.stop()
