"""Every (update, receiver) pair of one generator process: what was owed, what came, and how late.

The answer to its sender gives an update its place: (epoch, version). Each receiver's boards
are logged as (version, epoch, time). A board of version v brings every update of its epoch in
(previous, v] to that receiver, so an update has arrived with the receiver's first board of the
epoch whose version is not lower. Of its latency two bounds are known. At most it is that board's time minus the
update's *intended* time: what is sent or read late only adds to it. At least it is the earliest time at which the board
can have come, minus the time at which the kernel had taken the update.

The rules in full:

- Receiver r is owed update u when r took part at u's intended time (`enter`, `leave`); a broken
  connection takes nothing off: what is owed stays owed until the player leaves on purpose.
- An update may get several places: first one in the epoch of one server process, later
  in the shared one. The earliest board that satisfies any of them counts, so an update whose
  answer was not durable is held back until the durable one came or the run is over.
- Pairs without a board after `PATIENCE` seconds are lost. But where the receiver has been shown a later
  epoch instead, the versions in the answers say nothing about its board any more: such a pair
  is *unresolved*. Whether the update counted is then for the comparison of boards to find out. Updates
  without an answer are *unanswered*, and likewise for that comparison.
- A receiver's screen is *old* from the moment at which an update was meant until the board that brings it.
  For each of its boards the oldest update that it brought counts: the peaks of the age of what was shown.
- No pair is dropped. One without a board, and those of an update that was never sent or answered, are infinite in the
  upper bound. In the lower one a pair is infinite only if the update was answered and its receiver has been connected
  and read ever since; else it is 0, as it proves nothing.
- Reach is counted in versions, so that it covers the updates of all generator processes: a receiver is
  owed each version of the session, and has missed those that a board shows to have come before it
  (`version - updates` above what the receiver had last). A board with `updates` 0 – a snapshot, or the
  one after the service skipped a slow socket – shows the whole state and misses nothing.

Nothing is computed per delivery: the reader appends a row, and now and then `resolve`
turns them into pairs in bulk. All times are seconds on one clock, the run's, but for stamps, which `resolve` shifts to
it. No I/O, no clock of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields

import numpy as np

from loadtest.measure.board_receipts import ROW, ReceiptLog
from loadtest.measure.board_spread import NO_FLOATS, SETTLED, Arrivals, BoardHead, BoardTable, Bools, Floats
from loadtest.measure.missed_versions import Reach
from loadtest.measure.open_pairs import NO_SCREENS, AgePeaks, Pairs
from loadtest.measure.participants import Participants
from loadtest.measure.receipt_lot import Receipts
from loadtest.measure.run_totals import Counts
from loadtest.measure.sent_updates import Relief, Update, Updates, no_relief
from loadtest.measure.stamp_shift import NO_SHIFT, StampShift


def _nothing() -> Floats:
    return NO_FLOATS


@dataclass(slots=True)
class Resolved:
    """What became known in a call of `resolve` or a part of it, of the measured time only; arrays in seconds.

    Times are upper bounds, those of `…_lower` lower ones of the same events; infinite for what never happened. Those of
    `…_relieved` are the lower ones without the time in which others kept the service from a CPU.
    """

    latency: Floats = field(default_factory=_nothing)  # intended time → receiver's board
    latency_lower: Floats = field(default_factory=_nothing)
    latency_relieved: Floats = field(default_factory=_nothing)
    ack: Floats = field(default_factory=_nothing)  # to be sent → first answer
    ack_lower: Floats = field(default_factory=_nothing)
    ack_relieved: Floats = field(default_factory=_nothing)
    skew: Floats = field(default_factory=_nothing)  # per board: last receiver minus first
    skew_lower: Floats = field(default_factory=_nothing)
    # per receiver and board: how long the oldest update that it brought had not been shown
    age: Floats = field(default_factory=_nothing)
    age_lower: Floats = field(default_factory=_nothing)
    age_relieved: Floats = field(default_factory=_nothing)
    send_lag: Floats = field(default_factory=_nothing)  # intended → sent
    receive_lag: Floats = field(default_factory=_nothing)  # per receipt: arrived → read
    # per board: from the oldest folded update's receipt to the encoding
    inside: Floats = field(default_factory=_nothing)
    boards: int = 0
    board_updates: int = 0  # the `updates` of those boards

    @classmethod
    def joined(cls, parts: Iterable[Resolved]) -> Resolved:
        """All of them together."""
        whole = list(parts)
        joined = cls(boards=sum(part.boards for part in whole), board_updates=sum(part.board_updates for part in whole))
        for name in (one.name for one in fields(cls) if one.default_factory is _nothing):
            setattr(joined, name, np.concatenate([getattr(part, name) for part in whole]))
        return joined


class Ledger:
    """The books of one generator process. Receivers and updates are numbered by their owner, from 0."""

    def __init__(self) -> None:
        self.counts = Counts()
        self._epochs: dict[str, int] = {}  # numbered as they appear
        self._boards = BoardTable()
        self._receipts = ReceiptLog()
        self._participants = Participants()
        self._updates = Updates(self.counts)
        self._reach = Reach(self.counts)
        self._pairs = Pairs(self.counts)
        self._ages = AgePeaks()
        self._shift = NO_SHIFT
        self._ends = math.inf

    # Who takes part

    def enter(self, receiver: int, now: float) -> None:
        """From now on the receiver is owed every update."""
        self._participants.enter(receiver, now)
        self._reach.make_room(len(self._participants))

    def leave(self, receiver: int, now: float) -> None:
        """The receiver left on purpose: updates intended later are not owed to it."""
        self._participants.leave(receiver, now)

    def begin(self, now: float) -> None:
        """The measured time begins: updates intended before, and boards received before, are not counted."""
        self._updates.begins = now

    def end(self, now: float) -> None:
        """The measured time ends: how late a board is read that comes later is not measured."""
        self._ends = now

    @property
    def receivers(self) -> int:
        """How many take part."""
        return int(self._participants.present.sum())

    @property
    def seen(self) -> int:
        """How many ever took part."""
        return self._participants.seen

    def cut_off(self, receiver: int) -> None:
        """The receiver lost its connection: what it is not shown proves nothing, until it is `back`."""
        self._participants.doubt(np.array([receiver]), np.array([np.inf]))

    def back(self, receiver: int, now: float) -> None:
        """The receiver is connected again."""
        self._participants.trust(receiver, now)

    # Updates

    def due(self, update: int, *, sender: int, intended: float, now: float, points: int) -> None:
        """The update is to be sent now, late or not."""
        self._updates.due(update, Update(sender, intended, now, points))

    def sent(self, update: int, now: float) -> None:
        """The kernel had taken the update by now; only the first time counts."""
        self._updates.sent(update, now)

    def taken_back(self, update: int) -> None:
        """The generator ended the connection on which the update was sent: it counts as sent when it is sent again."""
        self._updates.taken_back(update)

    def answered(
        self,
        update: int,
        epoch: str,
        version: int,
        *,
        durable: bool,
        now: float,
        arrived: float | None = None,
        earliest: float = 0.0,
    ) -> float | None:
        """The answer, read now, names (epoch, version); `arrived` and `earliest` are the stamps between which it came.

        Returns at most how many seconds it took, None for a repeated answer.
        """
        arrived = now if arrived is None else arrived
        if update in self._updates:
            due = self._updates[update].due
            first = self._updates.answered(
                update, self._epoch(epoch), version, durable=durable, now=now, arrived=arrived, earliest=earliest
            )
            return arrived - self._shift.seconds - due if first else None
        late = self._updates.answered_late(update)
        return None if late is None else now - late

    def refused(self, update: int) -> None:
        """The service refused the update for good: it counts nowhere, so it is owed to nobody."""
        self._updates.refused(update)

    @property
    def points(self) -> dict[int, int]:
        """Sender → points of its answered updates, measured or not."""
        return self._updates.points

    @property
    def doubtful(self) -> set[int]:
        """Receivers with updates that were never answered: they may have counted or not."""
        return self._updates.doubtful

    @property
    def waiting(self) -> int:
        """Updates without an answer, or without the durable one."""
        return self._updates.waiting

    def owes(self, receiver: int) -> bool:
        """Whether the receiver waits for a board with an update that was meant before it left, by the last `resolve`.

        An update that is sent late counts only once it was sent.
        """
        return self._pairs.wait_for(receiver) or self._updates.unreleased_before(self._participants.left(receiver))

    @property
    def open_pairs(self) -> int:
        """Pairs that wait for their board, as of the last `resolve`."""
        return len(self._pairs)

    # Boards

    def board(self, head: BoardHead) -> int:
        """The number under which receipts of this board are logged."""
        return self._boards.add(head, self._epoch(head.epoch))

    def received(self, receiver: int, board: int, now: float, earliest: float | None = None) -> None:
        """The receiver read the board now, which had come not before `earliest` (0: unknown); without it, just then."""
        self.log(ROW.pack(receiver, board, now, now if earliest is None else earliest, now))

    @property
    def log(self) -> Callable[[bytes], None]:
        """What `received` does, for a reader in a hurry: append a `ROW`."""
        return self._receipts.append

    @property
    def receipts(self) -> int:
        """Boards received so far, at every receiver."""
        return len(self._receipts)

    def holds(self, epoch: str, version: int) -> Bools:
        """Per receiver: whether its last board, as of the last `resolve`, is this one."""
        return self._reach.holds(self._epochs.get(epoch, -2), version)

    def owe_rest(self, epoch: str, version: int) -> None:
        """The run is over at this version: what a receiver has not seen of it was missed."""
        self._reach.owe_rest(self._epochs.get(epoch, -2), version, self._participants.present)

    # A few times a second

    @property
    def backlog(self) -> int:
        """How many receipts and pairs the next `resolve` has to do with, about."""
        return self._receipts.waiting + len(self._updates) * self.receivers

    def resolve(
        self, now: float, shift: StampShift = NO_SHIFT, relief: Relief = no_relief, *, final: bool = False
    ) -> Resolved:
        """Turn what was logged since the last call, with stamps so far ahead, into pairs.

        `final`: what is still open then is lost.
        """
        return Resolved.joined(self.resolving(now, shift, relief, final=final))

    def resolving(self, now: float, shift: StampShift, relief: Relief, *, final: bool) -> Iterator[Resolved]:
        """What `resolve` does, part by part, so that somebody who is in a hurry can have a turn between two of them."""
        self._shift = shift
        yield self._close_receipts(now)
        yield self._close_boards(now, final=final)
        for number, update in self._updates.release(now, final=final):
            self._pairs.open(number, self._participants.at(update.intended))
        screens = NO_SCREENS
        for found in self._pairs.matching(self._updates, self._receipts, relief):
            screens = screens.joined(found.screens)
            yield Resolved(
                latency=found.latency,
                latency_lower=found.latency_lower,
                latency_relieved=found.latency_relieved,
            )
        given_up = self._pairs.give_up(self._updates, self._reach, self._participants.sure_since, now, final=final)
        # Nobody is sure to have seen an update of which nobody knows whether it counted.
        unknown = np.zeros(sum(len(self._participants.at(update.intended)) for update in self._updates.take_lost()))
        certain = np.concatenate([given_up, unknown])
        yield Resolved(latency=np.full(len(certain), np.inf), latency_lower=certain, latency_relieved=certain)
        age, age_lower, age_relieved = self._ages.add(screens, final=final)
        yield Resolved(age=age, age_lower=age_lower, age_relieved=age_relieved)
        ack, ack_lower, ack_relieved, send_lag = self._updates.take_delays(now, shift, relief)
        yield Resolved(ack=ack, ack_lower=ack_lower, ack_relieved=ack_relieved, send_lag=send_lag)
        self._forget(now)

    def _epoch(self, epoch: str) -> int:
        return self._epochs.setdefault(epoch, len(self._epochs))

    def _close_receipts(self, now: float) -> Resolved:
        """Count what was received since the last call, and keep it for the pairs."""
        receiver, board, stamp, earliest_stamp, read = self._receipts.take()
        if not len(receiver):
            return Resolved()
        version, epoch, floor = self._boards.look_up(board)
        time, earliest = self._shift.latest(stamp, now), self._shift.earliest(earliest_stamp)
        measured = (time >= self._updates.begins) & (time < self._ends)
        receipts = Receipts(receiver, version, epoch, time, earliest)
        self._receipts.keep(receipts)
        self._reach.count(receipts, floor, self._updates.begins)
        self._boards.note_arrivals(board, time, earliest)
        unknown = earliest == 0
        self._participants.doubt(receiver[unknown], time[unknown])
        return Resolved(receive_lag=np.maximum(read - stamp, 0.0)[measured] if self._shift.known else NO_FLOATS)

    def _close_boards(self, now: float, *, final: bool) -> Resolved:
        """Boards that have reached everyone by now: their spread, their size, their time in the service."""
        spans: list[Arrivals] = []
        inside: list[float] = []
        updates = 0
        for board in self._boards.take_complete(math.inf if final else now - SETTLED):
            if not board.updates or board.arrivals.first < self._updates.begins:
                continue  # a snapshot, a change of presence, or before the measured time
            spans.append(board.arrivals)
            updates += board.updates
            if not math.isnan(board.inside):
                inside.append(board.inside)
        return Resolved(
            skew=np.array([one.skew for one in spans]),
            skew_lower=np.array([one.skew_lower for one in spans]),
            inside=np.array(inside),
            boards=len(spans),
            board_updates=updates,
        )

    def _forget(self, now: float) -> None:
        """Drop what no pair can need any more, so that the books stay small however long the run is."""
        self._updates.forget(self._pairs.updates)
        self._receipts.forget(self._updates.earliest_due(default=now) - SETTLED)
        self._boards.forget()
