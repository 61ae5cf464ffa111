"""When each player scores: absolute intended times from a seeded process, fixed before the run.

The schedule is *open*: nothing the service does moves it. A player that could not send on time
sends late, and the delay counts, because latency is measured from the intended time. (A closed
loop, in which a player waits for the answer and then pauses, would slow down together with
the service and hide exactly the delays to be measured: coordinated omission.)

Times are seconds from the start of the schedule. The same (seed, stream, player) gives the same times.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

Process = Literal["poisson", "constant"]
PROCESSES: Final[tuple[Process, ...]] = ("poisson", "constant")
_AT_ONCE = 8  # gaps drawn at once: more would only cost memory


@dataclass(frozen=True, slots=True)
class Schedule:
    """`rate` updates a second per player, on average. Raises ValueError if the rate is not positive."""

    rate: float
    seed: int
    process: Process = "poisson"

    def __post_init__(self) -> None:
        if not 0 < self.rate < float("inf"):
            raise ValueError(f"expected a positive rate, got {self.rate}")
        if self.process not in PROCESSES:
            raise ValueError(f"expected one of {', '.join(PROCESSES)}, got {self.process}")

    def times(self, player: int, stream: int = 0) -> Iterator[float]:
        """The player's intended times, ascending and endless; `stream` is the number of the generator process."""
        random = np.random.default_rng([self.seed, stream, player])
        if self.process == "constant":
            # Each player has its own phase: without it all would score at the same instant.
            phase = float(random.random())
            number = 0
            while True:
                yield (number + phase) / self.rate
                number += 1
        now = 0.0
        while True:
            for gap in random.exponential(1 / self.rate, _AT_ONCE).tolist():
                now += gap
                yield now
