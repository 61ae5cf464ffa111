"""The updates of one generator process: sent, answered, refused or never answered, and the points they are worth."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from loadtest.measure.board_spread import Floats
from loadtest.measure.run_totals import Counts
from loadtest.measure.stamp_shift import StampShift

# Given the begins and ends of spans, in shapes that broadcast: at most how many seconds of each others kept the service
# from a CPU.
Relief = Callable[[Floats, Floats], Floats]

PATIENCE: Final = 30.0  # seconds until a pair counts as lost, or an answer as missing


def no_relief(_begin: Floats, _end: Floats) -> Floats:
    """Nothing is known of others."""
    return np.zeros(1)


@dataclass(slots=True)
class Update:
    """One update: its sender, when it was meant, sent and answered, and the versions that the answers named.

    It stood before sending at `due`, late or not; at `sent` the kernel had taken its last byte, infinite before.
    """

    sender: int
    intended: float
    due: float
    points: int
    sent: float = math.inf
    left: bool = False  # the kernel has taken it once
    answered: float | None = None
    durable: bool = False
    released: bool = False  # handed over to the pairs
    versions: dict[int, int] = field(default_factory=dict)  # epoch → lowest version


class Answers:
    """The first answers of measured updates, as columns: stamps of their arrival, and when each update was sent."""

    def __init__(self) -> None:
        self._arrived = array("d")
        self._earliest = array("d")
        self._due = array("d")
        self._sent = array("d")
        self._never = 0

    def add(self, update: Update, arrived: float, earliest: float) -> None:
        """This update was answered."""
        self._arrived.append(arrived)
        self._earliest.append(earliest)
        self._due.append(update.due)
        self._sent.append(update.sent)

    def add_never(self) -> None:
        """An update was not."""
        self._never += 1

    def take(self, now: float, shift: StampShift, relief: Relief) -> tuple[Floats, Floats, Floats]:
        """At most and at least how many seconds each answer since the last call took, and that relieved of others.

        Without an answer they are infinite, 0 and 0.
        """
        arrived, earliest, due, sent = (
            np.array(column) for column in (self._arrived, self._earliest, self._due, self._sent)
        )
        for column in (self._arrived, self._earliest, self._due, self._sent):
            del column[:]
        never, self._never = self._never, 0
        most = shift.latest(arrived, now) - due
        came = shift.earliest(earliest)
        least = np.maximum(came - sent, 0.0)
        relieved = np.maximum(least - relief(sent, came), 0.0)
        nothing = np.zeros(never)
        return np.append(most, np.full(never, np.inf)), np.append(least, nothing), np.append(relieved, nothing)


class Delays(NamedTuple):
    """Of measured updates, in seconds: bounds of sent → first answer, and intended → sent; infinite if never."""

    ack: Floats
    ack_lower: Floats
    ack_relieved: Floats
    send_lag: Floats


class Updates:
    """The updates that are still needed, by their numbers. Those intended at `begins` or later are measured."""

    def __init__(self, counts: Counts) -> None:
        self.begins = math.inf
        self.points: dict[int, int] = {}  # sender → points of its answered updates, measured or not
        self._counts = counts
        self._open: dict[int, Update] = {}
        self._given_up: dict[int, Update] = {}  # never answered
        self._lost: list[Update] = []  # measured and never answered, since the last `take_lost`
        # Of the measured updates, since the last `take_delays`.
        self._answers = Answers()
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

    def due(self, number: int, update: Update) -> None:
        """The update is to be sent now."""
        self._open[number] = update
        if update.intended >= self.begins:
            self._counts.updates += 1

    def sent(self, number: int, now: float) -> None:
        """The kernel took the update; what is sent once more was sent before."""
        update = self._open.get(number)
        if update is None or update.sent < math.inf:
            return
        update.sent = now
        if update.intended >= self.begins and not update.left:
            self._send_lags.append(now - update.intended)
        update.left = True

    def taken_back(self, number: int) -> None:
        """The generator ended the connection on which the update was sent: it may never have left."""
        update = self._open.get(number)
        if update is not None and update.answered is None:
            update.sent = math.inf

    def answered(
        self, number: int, epoch: int, version: int, *, durable: bool, now: float, arrived: float, earliest: float
    ) -> bool:
        """An answer to an update that is still needed was read now and named (epoch, version).

        `arrived` and `earliest` are the stamps between which it came. Returns whether it is the first one.
        """
        update = self._open[number]
        update.versions[epoch] = min(version, update.versions.get(epoch, version))
        update.durable |= durable
        if update.answered is not None:
            return False
        update.answered = now
        self.points[update.sender] = self.points.get(update.sender, 0) + update.points
        if update.intended >= self.begins:
            self._counts.answered += 1
            self._answers.add(update, arrived, earliest)
        return True

    def answered_late(self, number: int) -> float | None:
        """An answer later than `PATIENCE` counts for the scores only. Returns when the update was due."""
        update = self._given_up.pop(number, None)
        if update is None:
            return None
        self.points[update.sender] = self.points.get(update.sender, 0) + update.points
        if update.intended >= self.begins:
            self._counts.unanswered -= 1
            self._counts.answered += 1
        return update.due

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

    def take_delays(self, now: float, shift: StampShift, relief: Relief) -> Delays:
        """The delays that became known since the last call."""
        send_lags = np.array(self._send_lags)
        del self._send_lags[:]
        return Delays(*self._answers.take(now, shift, relief), send_lags)

    def take_lost(self) -> list[Update]:
        """The measured updates that were given up since the last call, as no answer came."""
        lost, self._lost = self._lost, []
        return lost

    def release(self, now: float, *, final: bool) -> Iterator[tuple[int, Update]]:
        """Yield the measured updates whose last answer came; drop what is never answered or not measured."""
        for number, update in list(self._open.items()):
            if update.released:
                continue
            if update.answered is None:
                if final or now - update.due > PATIENCE:
                    self._give_up(number)
            elif update.durable or final or now - update.answered > PATIENCE:
                if update.intended >= self.begins:
                    update.released = True
                    yield number, update
                else:
                    del self._open[number]

    def _give_up(self, number: int) -> None:
        update = self._given_up[number] = self._open.pop(number)
        if update.intended < self.begins:
            return
        self._lost.append(update)
        self._counts.unanswered += 1
        if not update.left:
            self._counts.unsent += 1
            self._send_lags.append(math.inf)
        self._answers.add_never()

    def forget(self, still_open: Iterable[int]) -> None:
        """Drop the released updates but for those whose pairs are open."""
        kept = set(still_open)
        for number in [number for number, update in self._open.items() if update.released]:
            if number not in kept:
                del self._open[number]

    def earliest_due(self, default: float) -> float:
        """When the first of the remaining updates was to be sent, `default` if none remains."""
        return min((update.due for update in self._open.values()), default=default)
