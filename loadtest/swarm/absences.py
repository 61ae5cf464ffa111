"""How many players that should be connected are not."""

from __future__ import annotations


class Absences:
    """Counts players who are away although the scenario does not want it."""

    def __init__(self) -> None:
        self._now = 0
        self._most = 0

    def begin(self) -> None:
        """One more player is absent."""
        self._now += 1
        self._most = max(self._most, self._now)

    def end(self) -> None:
        """One of them is back, or is expected no longer."""
        self._now -= 1

    def take_most(self) -> int:
        """The most at once since the last call."""
        most, self._most = self._most, self._now
        return most
