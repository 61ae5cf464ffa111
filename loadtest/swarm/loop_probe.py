"""How late the timers of this process' event loop are, a lag of the generator itself."""

from __future__ import annotations

from array import array
from typing import Final

import gevent

from loadtest.swarm.run_clock import RunClock

PERIOD: Final = 0.02  # seconds between two probes


class LoopProbe:
    """Probes from its construction to `stop`; `lags` holds the seconds of the measured time."""

    def __init__(self, clock: RunClock) -> None:
        self.lags = array("d")
        self._clock = clock
        self._probing = gevent.spawn(self._probe)

    def stop(self) -> None:
        """End it."""
        self._probing.kill(block=False)

    def _probe(self) -> None:
        while True:
            due = self._clock.now() + PERIOD
            gevent.sleep(PERIOD)
            now = self._clock.now()
            if self._clock.begins <= due and now < self._clock.ends:
                self.lags.append(max(now - due, 0.0))
