"""When each receiver took part, which decides what it is owed, and since when it surely could have been shown it."""

from __future__ import annotations

import numpy as np

from loadtest.measure.board_spread import Bools, Floats, Ints


class Participants:
    """The times of entering and leaving, one row per receiver; infinite until they come."""

    def __init__(self) -> None:
        self._since: Floats = np.empty(0)
        self._until: Floats = np.empty(0)
        self._doubtful: Floats = np.empty(0)  # until then it may not have been connected, or not have read

    def __len__(self) -> int:
        """How many receivers there are, whether they take part or not."""
        return len(self._since)

    def enter(self, receiver: int, now: float) -> None:
        """From now on the receiver takes part; the earliest time counts."""
        missing = max(receiver + 1 - len(self), 0)
        self._since = np.append(self._since, np.full(missing, np.inf))
        self._until = np.append(self._until, np.full(missing, np.inf))
        self._doubtful = np.append(self._doubtful, np.full(missing, -np.inf))
        self._since[receiver] = min(self._since[receiver], now)

    def leave(self, receiver: int, now: float) -> None:
        """From now on the receiver takes part no longer; the earliest time counts."""
        self._until[receiver] = min(self._until[receiver], now)

    def left(self, receiver: int) -> float:
        """When the receiver left, infinite if it did not."""
        return float(self._until[receiver])

    def doubt(self, receiver: Ints, until: Floats) -> None:
        """Until then each of these receivers may not have been connected, or may not have read; infinite: up to now."""
        np.maximum.at(self._doubtful, receiver, until)

    def trust(self, receiver: int, now: float) -> None:
        """From now on the receiver is connected and reads."""
        self._doubtful[receiver] = now

    def sure_since(self, receiver: Ints) -> Floats:
        """Since when each of these receivers has been connected and read all the time, infinite if it does not now."""
        since: Floats = self._doubtful[receiver]
        return since

    @property
    def seen(self) -> int:
        """How many ever took part."""
        return int(np.isfinite(self._since).sum())

    @property
    def present(self) -> Bools:
        """Per receiver: whether it takes part."""
        there: Bools = np.isfinite(self._since) & np.isinf(self._until)
        return there

    def at(self, moment: float) -> Ints:
        """The receivers that took part at that moment."""
        there: Ints = np.flatnonzero((self._since <= moment) & (moment < self._until))
        return there
