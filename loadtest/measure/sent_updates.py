"""The updates of one generator process: sent, answered, refused or never answered, and the points they are worth."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from loadtest.measure.board_spread import Floats
from loadtest.measure.run_totals import Counts

PATIENCE: Final = 30.0  # seconds until a pair counts as lost, or an answer as missing


@dataclass(slots=True)
class Update:
    """One update: its sender, when it was meant, sent and answered, and the versions that the answers named."""

    sender: int
    intended: float
    sent: float
    points: int
    answered: float | None = None
    durable: bool = False
    released: bool = False  # handed over to the pairs
    versions: dict[int, int] = field(default_factory=dict)  # epoch → lowest version


class Updates:
    """The updates that are still needed, by their numbers. Those intended at `begins` or later are measured."""

    def __init__(self, counts: Counts) -> None:
        self.begins = math.inf
        self.points: dict[int, int] = {}  # sender → points of its answered updates, measured or not
        self._counts = counts
        self._open: dict[int, Update] = {}
        self._given_up: dict[int, Update] = {}  # never answered
        # Of the measured updates, since the last `take_delays`.
        self._acks = array("d")
        self._send_lags = array("d")

    def __len__(self) -> int:
        """How many are still needed."""
        return len(self._open)

    def __contains__(self, number: int) -> bool:
        """Whether the update is still needed."""
        return number in self._open

    def __getitem__(self, number: int) -> Update:
        """The update, which is still needed."""
        return self._open[number]

    def sent(self, number: int, update: Update) -> None:
        """The update went out for the first time."""
        self._open[number] = update
        if update.intended >= self.begins:
            self._counts.updates += 1
            self._send_lags.append(update.sent - update.intended)

    def answered(self, number: int, epoch: int, version: int, *, durable: bool, now: float) -> float | None:
        """An answer to an update that is still needed named (epoch, version).

        Returns seconds since it was sent, None for a repeated answer.
        """
        update = self._open[number]
        update.versions[epoch] = min(version, update.versions.get(epoch, version))
        update.durable |= durable
        if update.answered is not None:
            return None
        update.answered = now
        self.points[update.sender] = self.points.get(update.sender, 0) + update.points
        if update.intended >= self.begins:
            self._counts.answered += 1
            self._acks.append(now - update.sent)
        return now - update.sent

    def answered_late(self, number: int, now: float) -> float | None:
        """An answer later than `PATIENCE` counts for the scores only. Returns as `answered` does."""
        update = self._given_up.pop(number, None)
        if update is None:
            return None
        self.points[update.sender] = self.points.get(update.sender, 0) + update.points
        if update.intended >= self.begins:
            self._counts.unanswered -= 1
            self._counts.answered += 1
        return now - update.sent

    def refused(self, number: int) -> None:
        """The service refused the update for good."""
        update = self._open.pop(number, None)
        if update is not None and update.intended >= self.begins:
            self._counts.refused += 1

    @property
    def doubtful(self) -> set[int]:
        """The senders of updates that were never answered."""
        waiting = (update for update in self._open.values() if update.answered is None)
        return {update.sender for update in (*self._given_up.values(), *waiting)}

    @property
    def waiting(self) -> int:
        """Updates without an answer, or without the durable one."""
        return sum(not update.released and not update.durable for update in self._open.values())

    def unreleased_before(self, moment: float) -> bool:
        """Whether an update that was meant before that moment has not been handed over to the pairs."""
        return any(not update.released and update.intended < moment for update in self._open.values())

    def take_delays(self) -> tuple[Floats, Floats]:
        """Sent → first answer, and intended → sent, of the measured updates since the last call, in seconds."""
        acks, send_lags = np.array(self._acks), np.array(self._send_lags)
        for times in (self._acks, self._send_lags):
            del times[:]
        return acks, send_lags

    def release(self, now: float, *, final: bool) -> Iterator[tuple[int, Update]]:
        """Yield the measured updates whose last answer came; drop what is never answered or not measured."""
        for number, update in list(self._open.items()):
            if update.released:
                continue
            measured = update.intended >= self.begins
            if update.answered is None:
                if final or now - update.sent > PATIENCE:
                    self._counts.unanswered += measured
                    self._given_up[number] = self._open.pop(number)
            elif update.durable or final or now - update.answered > PATIENCE:
                if measured:
                    update.released = True
                    yield number, update
                else:
                    del self._open[number]

    def forget(self, still_open: Iterable[int]) -> None:
        """Drop the released updates but for those whose pairs are open."""
        kept = set(still_open)
        for number in [number for number, update in self._open.items() if update.released]:
            if number not in kept:
                del self._open[number]

    def earliest_sent(self, default: float) -> float:
        """When the first of the remaining updates was sent, `default` if none remains."""
        return min((update.sent for update in self._open.values()), default=default)
