"""When a run's schedule starts, and when its measured time begins and ends, by this process' clock."""

from __future__ import annotations

import time

import gevent.event


class RunClock:
    """The moments of one run, in Unix seconds; infinity until they are known.

    `origin` is where the schedule starts. From `begins` to `ends` is measured, and nobody means to score after it.
    """

    def __init__(self) -> None:
        self.started = gevent.event.Event()
        self.origin = self.begins = self.ends = float("inf")
        self.over = False  # connections that end now are closed by this process

    def start(self, *, warm_up: float, measure: float | None) -> None:
        """Start the schedule now; measure after `warm_up` seconds, for `measure` seconds or until `stop`."""
        self.origin = time.time()
        self.begins = self.origin + warm_up
        if measure is not None:
            self.ends = self.begins + measure
        self.started.set()

    def stop(self) -> None:
        """End the measured time now, if it has not ended already."""
        self.ends = min(self.ends, time.time())
        self.started.set()

    @property
    def measured(self) -> float:
        """Seconds of the measured time, 0 if it never began."""
        return max(self.ends - self.begins, 0.0) if self.begins < self.ends else 0.0

    @property
    def phase(self) -> str:
        """Where the run is: connect, warm-up, measure, settle."""
        now = time.time()
        if now >= self.ends:
            return "settle"
        return "connect" if now < self.origin else "warm-up" if now < self.begins else "measure"
