"""When a run's schedule starts, and when its measured time begins and ends, by a clock that nobody sets."""

from __future__ import annotations

import time

import gevent.event


class RunClock:
    """The clock and the moments of one run, in seconds; infinity until they are known.

    The clock is monotonic. It begins as Unix time, and stays it unless the system's clock is set.
    `origin` is where the schedule starts. From `begins` to `ends` is measured, and nobody means to score after it.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()
        self.started = gevent.event.Event()
        self.origin = self.begins = self.ends = float("inf")
        self.over = False  # connections that end now are closed by this process

    def now(self) -> float:
        """The time."""
        return time.monotonic() + self._offset

    def start(self, *, warm_up: float, measure: float | None) -> None:
        """Start the schedule now; measure after `warm_up` seconds, for `measure` seconds or until `stop`.

        A run that was stopped before it started does not start any more.
        """
        if self.ends < float("inf"):
            return
        self.origin = self.now()
        self.begins = self.origin + warm_up
        if measure is not None:
            self.ends = self.begins + measure
        self.started.set()

    def stop(self) -> None:
        """End the measured time now, if it has not ended already."""
        self.ends = min(self.ends, self.now())
        self.started.set()

    @property
    def measured(self) -> float:
        """Seconds of the measured time, 0 if it never began."""
        return max(self.ends - self.begins, 0.0) if self.begins < self.ends else 0.0

    @property
    def known(self) -> dict[str, float]:
        """Those of `begins` and `ends` that are known."""
        moments = {"begins": self.begins, "ends": self.ends}
        return {name: moment for name, moment in moments.items() if moment < float("inf")}

    @property
    def phase(self) -> str:
        """Where the run is: connect, warm-up, measure, settle."""
        now = self.now()
        if now >= self.ends:
            return "settle"
        return "connect" if now < self.origin else "warm-up" if now < self.begins else "measure"
