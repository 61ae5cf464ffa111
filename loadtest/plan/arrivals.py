"""When each player means to score: absolute times from a seeded process, fixed before the run.

An *open* schedule: what the service does moves nothing. A player that could not send in time
sends late, and the delay counts, because latency is taken from the intended time. (A closed
loop, in which a player waits for the answer and then for a while, would slow down together with
the service and hide exactly the delays one is looking for: coordinated omission.)

Times are seconds from the start of the schedule. The same (seed, stream, player) gives the same times.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

Process = Literal["poisson", "constant"]
PROCESSES: Final[tuple[Process, ...]] = ("poisson", "constant")
_AT_ONCE = 8  # gaps drawn together: more would only cost memory


@dataclass(frozen=True, slots=True)
class Schedule:
    """`rate` updates a second and player, in the mean. Raises ValueError for a rate that is not positive."""

    rate: float
    seed: int
    process: Process = "poisson"

    def __post_init__(self) -> None:
        if not 0 < self.rate < float("inf"):
            raise ValueError(f"expected a positive rate, got {self.rate}")
        if self.process not in PROCESSES:
            raise ValueError(f"expected one of {', '.join(PROCESSES)}, got {self.process}")

    def times(self, player: int, stream: int = 0) -> Iterator[float]:
        """The player's intended times, ascending, without end; `stream` tells generator processes apart."""
        random = np.random.default_rng([self.seed, stream, player])
        if self.process == "constant":
            # A phase of each player's own: without it all would score in the same instant.
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
