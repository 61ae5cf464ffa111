"""The knee: the most players with which a service still holds its gates, and how sure that is.

A trial at a number of players holds or misses. Near the knee both happen, so one trial decides nothing: a level
*holds* when its trials show, at the required confidence, that more than half of all trials would hold (sign test),
and *fails* in the opposite case. First the number doubles, then the gap is halved (in ratio) until it is small, then
both ends are repeated until they are decided; an end that turns out differently moves the gap.

Pure: it names the next number, takes the outcome, and runs nothing itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum


class Outcome(Enum):
    """How one trial ended."""

    HELD = "held"
    MISSED = "missed"
    SPOILED = "spoiled"  # INVALID: the run does not say


@dataclass(frozen=True, slots=True)
class Knee:
    """With `holds` players the gates hold, with `fails` they do not (None: not found); `sure` if both are decided.

    `by_generator`: the upper end is the generator's limit, not the service's.
    """

    holds: int | None
    fails: int | None
    sure: bool
    by_generator: bool


@dataclass(slots=True)
class _Level:
    held: int = 0
    missed: int = 0
    spoiled: int = 0


@dataclass(slots=True)
class Search:
    """Searches `least` to `most` players down to a gap of `resolution` (a share), with at most `budget` trials."""

    least: int
    most: int
    resolution: float = 0.1
    confidence: float = 0.95
    budget: int = 60
    _levels: dict[int, _Level] = field(default_factory=dict)
    _trials: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most:
            raise ValueError(f"expected a rising range of players from 1 up, got {self.least} to {self.most}")
        if not 0.5 < self.confidence < 1:
            raise ValueError(f"expected a confidence between 0.5 and 1, got {self.confidence}")

    def tell(self, players: int, outcome: Outcome) -> None:
        """Record the outcome of a trial with so many players."""
        level = self._levels.setdefault(players, _Level())
        setattr(level, outcome.value, getattr(level, outcome.value) + 1)
        self._trials += 1

    def next(self) -> int | None:
        """The number of players to try next; None when the search is done or the budget is spent."""
        return None if self._trials >= self.budget else self._wanted()

    def _wanted(self) -> int | None:
        low, high = self._gap()
        undecided = [players for players in self._levels if self._leaning(players) == 0]
        if undecided:
            return undecided[0]
        if low is None and high is None:
            return self.least
        if high is None:
            assert low is not None
            return min(2 * low, self.most) if low < self.most else self._to_confirm(low)
        if low is None:
            return max(high // 2, 1) if high > 1 else self._to_confirm(high)
        if high - low > 1 and high > low * (1 + self.resolution):
            return min(max(round(math.sqrt(low * high)), low + 1), high - 1)
        return self._to_confirm(low, high)

    def _to_confirm(self, *ends: int) -> int | None:
        return next((players for players in ends if not self._decided(players)), None)

    @property
    def knee(self) -> Knee:
        """What is known so far."""
        low, high = self._gap()
        ends = [players for players in (low, high) if players is not None]
        by_generator = high is not None and self._spoiled(high)
        return Knee(low, high, sure=self._wanted() is None and all(map(self._decided, ends)), by_generator=by_generator)

    def _gap(self) -> tuple[int | None, int | None]:
        high = min((players for players in self._levels if self._leaning(players) < 0), default=None)
        low = max(
            (players for players in self._levels if self._leaning(players) > 0 and (high is None or players < high)),
            default=None,
        )
        return low, high

    def _leaning(self, players: int) -> int:
        """Above zero: leans towards holding; below: towards failing."""
        level = self._levels[players]
        return -1 if self._spoiled(players) else level.held - level.missed

    def _spoiled(self, players: int) -> bool:
        """Whether the generator cannot play so many: most trials were spoiled, at least two."""
        level = self._levels[players]
        return level.spoiled >= 2 and level.spoiled > level.held + level.missed

    def _decided(self, players: int) -> bool:
        level = self._levels[players]
        return self._spoiled(players) or sign_test(max(level.held, level.missed), level.held + level.missed) <= round(
            1 - self.confidence, 12
        )


def sign_test(more: int, trials: int) -> float:
    """The probability of at least `more` heads in `trials` tosses of a fair coin."""
    return math.fsum(math.comb(trials, heads) * 0.5**trials for heads in range(more, trials + 1))
