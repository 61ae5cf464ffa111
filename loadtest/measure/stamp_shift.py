"""From the clock of the kernel's stamps, which may be set, to the clock of the run, which nobody sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from loadtest.measure.board_spread import Floats


@dataclass(frozen=True, slots=True)
class StampShift:
    """How far the stamps of a slice of time are ahead of the run's clock, in seconds; `known` unless the clock was set.

    A stamp of 0 means that the moment is unknown, before and after.
    """

    seconds: float = 0.0
    known: bool = True

    def latest(self, stamps: Floats, now: float) -> Floats:
        """By when these had arrived; `now` is after all of them."""
        return stamps - self.seconds if self.known else np.full(len(stamps), now)

    def earliest(self, stamps: Floats) -> Floats:
        """Before when these had not arrived."""
        shifted: Floats = np.where((stamps > 0) & self.known, stamps - self.seconds, 0.0)
        return shifted


NO_SHIFT: Final = StampShift()
