"""The clock of the kernel's stamps, seen from the run's own clock, which nobody sets.

Schedules and times of sending are on the run's clock, which is monotonic. Arrivals are stamped by the system's clock,
which a person or a time server may set. Between the two lies the `shift`, read with every slice of a second. Where it
moved by more than `STEP` within a second, stamps of that second say nothing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from loadtest.measure.stamp_shift import StampShift
from loadtest.swarm.run_clock import RunClock

STEP: Final = 0.001  # seconds, within a second
TRIES: Final = 5  # readings, of which the quickest counts: between two clocks a process may be interrupted


class StampClock:
    """Reads both clocks; `largest_step` is by how much the system's clock was set at once, 0 if it was not.

    `on_step` is called when it was.
    """

    def __init__(self, clock: RunClock, on_step: Callable[[], None]) -> None:
        self.largest_step = 0.0
        self._on_step = on_step
        self._clock = clock
        self._read: deque[tuple[float, float]] = deque()  # (run's time, shift) of the last second
        self.read()

    def read(self) -> StampShift:
        """The shift for what was stamped since the last call."""
        now, shift = self._quickest()
        while self._read and self._read[0][0] < now - 1.0:
            self._read.popleft()
        self._read.append((now, shift))
        step = max((shift - before for _, before in self._read), key=abs)
        if abs(step) <= STEP:
            return StampShift(shift)
        if abs(step) > abs(self.largest_step):
            self.largest_step = step
        self._on_step()
        return StampShift(shift, known=False)

    def _quickest(self) -> tuple[float, float]:
        readings = []
        for _ in range(TRIES):
            before, stamp, after = self._clock.now(), time.time(), self._clock.now()
            readings.append((after - before, after, stamp - (before + after) / 2))
        _, now, shift = min(readings)
        return now, shift
