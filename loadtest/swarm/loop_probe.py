"""How late the timers of this process' event loop are, a lag of the generator itself, and whether its clock was set."""

from __future__ import annotations

import time
from array import array
from typing import Final

import gevent

from loadtest.swarm.run_clock import RunClock

PERIOD: Final = 0.02  # seconds between two probes
STEP: Final = 0.05  # seconds; a clock that is only slewed is off by far less between two probes


class LoopProbe:
    """Probes from its construction to `stop`; `lags` holds the seconds of the measured time.

    `clock_step` is by how many seconds the clock was set at once while the schedule ran, 0 if it was not.
    """

    def __init__(self, clock: RunClock) -> None:
        self.lags = array("d")
        self.clock_step = 0.0
        self._clock = clock
        self._probing = gevent.spawn(self._probe)

    def stop(self) -> None:
        """End it."""
        self._probing.kill(block=False)

    def _probe(self) -> None:
        """Tells a lag of our own where the kernel gives no stamps."""
        while True:
            began, due = time.monotonic(), time.time() + PERIOD
            gevent.sleep(PERIOD)
            now, lag = time.time(), time.monotonic() - began - PERIOD
            step = now - due - lag
            if abs(step) > max(STEP, abs(self.clock_step)) and self._clock.origin <= due < self._clock.ends:
                self.clock_step = step
            if self._clock.begins <= due and now < self._clock.ends:
                self.lags.append(max(lag, 0.0))
