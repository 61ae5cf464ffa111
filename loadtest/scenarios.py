"""What a swarm does: who plays, and when each player means to score.

A scenario is a small frozen object made from the options of a run. To add one, write a class with
these two methods and put it into `SCENARIOS`; the measuring, the gates and the report are the
same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from loadtest.schedule import Schedule

POINTS: Final = (10, 25, 50, 100)
# The wire contract allows a connection 20 frames a second, 40 at once. Random arrivals at 80 % of that
# stay inside practically always (about once in 10⁸ updates they do not, and are sent again).
MOST_UPDATES: Final = 16.0  # a second and player


class Scenario(Protocol):
    """What the swarm asks of a scenario; `stream` is the number of the generator process."""

    def times(self, player: int, stream: int) -> Iterator[float]:
        """When the player means to score, in seconds from the start of the schedule; may end."""

    def points(self, player: int, stream: int) -> Iterator[int]:
        """The points of the player's updates, without end."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a scenario is made from: `rate` updates a second and player."""

    rate: float
    seed: int


@dataclass(frozen=True, slots=True)
class Steady:
    """Everybody joins, stays, and scores at random moments at an even rate."""

    schedule: Schedule
    seed: int

    @classmethod
    def of(cls, options: Options) -> Steady:
        """Raises ValueError for a rate that no player may send at."""
        if options.rate > MOST_UPDATES:
            raise ValueError(
                f"expected at most {MOST_UPDATES:g} updates a second and player, so that no connection exceeds "
                f"the service's limit, got {options.rate:g}; more players or a lower rate are the way"
            )
        return cls(Schedule(options.rate, options.seed), options.seed)

    def times(self, player: int, stream: int) -> Iterator[float]:
        return self.schedule.times(player, stream)

    def points(self, player: int, stream: int) -> Iterator[int]:
        random = np.random.default_rng([self.seed, stream, player, 1])
        while True:
            yield POINTS[int(random.integers(len(POINTS)))]


SCENARIOS: Final[dict[str, Callable[[Options], Scenario]]] = {"steady": Steady.of}
