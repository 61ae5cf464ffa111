"""One session that several processes share: what is agreed, what is on its way, and what is shown.

    update ──▶ queue ──▶ batch in flight ──▶ apply.lua ──▶ published to all ──▶ replica ──▶ shown
                 └── answered provisionally: shown at once, in an epoch of this process alone ┘

An operation is *confirmed* when it comes back in the stream of what was applied. Until then it is
not shown, unless that takes too long: then its answer is *provisional*, and it is shown on top of the
replica, in a private epoch, because nobody else shows it. With the last provisional operation
confirmed, the session is shown as everybody shows it again. `core.operation_state` has the table of an
operation's states; `core.pn_counter` has the state that workers agree on.

Pure, like the rest of the core: it neither sends nor waits. Methods return the events of what is
now shown differently.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final

from service.core.operation_state import (
    ANSWER_PROVISIONALLY,
    CONFIRM,
    COUNTED_ELSEWHERE,
    GIVE_UP,
    OPERATION_TRANSITIONS,
    PROVISIONAL,
    QUEUED,
    SEND,
    SENT,
    OperationEvent,
    OperationState,
)
from service.core.pn_counter import (
    Add,
    Applied,
    Name,
    Op,
    Populate,
    Replica,
    Reset,
    SessionSnapshot,
    Stamp,
    WorkerRow,
    from_wire,
    to_wire,
)
from service.core.protocol import MAX_POINTS, MAX_TOTAL
from service.core.session import CLEARED, POPULATED, Answer, Event, Restored, Session, check_total
from service.core.state_machine import next_state
from service.core.user_appearance import default_username

MAX_BATCH: Final = 200  # operations

Waiter = Callable[[Answer | None], None]  # takes the answer to an add, None as the answer to anything else


@dataclass(slots=True, eq=False)
class Pending:
    """An operation that is not confirmed yet, and the callbacks that wait for its answer."""

    op: Op
    since: float  # monotonic seconds
    waiters: list[Waiter] = field(default_factory=list)
    state: OperationState = QUEUED
    ahead: dict[str, int] = field(default_factory=dict)  # what it adds to the replica while it is provisional

    @property
    def provisional(self) -> bool:
        """Whether it is shown and answered, and not confirmed."""
        return self.state in PROVISIONAL

    def advance(self, event: OperationEvent) -> None:
        """Move on in `OPERATION_TRANSITIONS`. Raises `NoTransition`."""
        self.state = next_state(OPERATION_TRANSITIONS, self.state, event)

    def answer(self, answer: Answer | None) -> None:
        """Give the answer to every waiter."""
        for waiter in self.waiters:
            waiter(answer)


@dataclass(frozen=True, slots=True)
class OperationBatch:
    """What goes to Redis in one piece, and once: its number is not used again, whether it arrived or not."""

    seq: int
    pending: tuple[Pending, ...]
    text: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker's row that Redis does not have as it is known here: to be put back as `seq`, if it is `below` there."""

    worker: str
    seq: int
    below: int


class Behind(Exception):
    """What came does not follow what is known here: the session has to be read anew."""


class SharedSession:
    """`session` is what this process shows; `worker` names the process; `private` makes suffixes of epochs."""

    def __init__(self, session: Session, worker: str, private: Callable[[], str]) -> None:
        self.session = session
        self.replica = Replica(session.epoch)
        self.synced = False  # whether it was ever read
        self.in_flight: OperationBatch | None = None
        self._worker = worker
        self._private = private
        self._queue: deque[Pending] = deque()
        self._by_id: dict[tuple[str, str], Pending] = {}
        self._seq = 0
        self._provisional = 0  # how many of the unconfirmed are provisional; they are always the oldest
        self._ahead: dict[str, int] = {}  # the sum of what is provisional
        self._hiding = 0  # provisional resets: while there is one, nothing of the replica is shown
        self._missed: list[Applied] = []  # heard of, and not read yet
        self._named: dict[str, str] = {}  # the names that are kept, or on their way to be

    def __len__(self) -> int:
        """The operations that are not confirmed."""
        return len(self._queue) + (0 if self.in_flight is None else len(self.in_flight.pending))

    @property
    def alone(self) -> bool:
        """Whether something is shown that this process alone knows of."""
        return self._provisional > 0

    @property
    def known(self) -> Stamp:
        """Up to where all batches were heard; before the first reading none."""
        return self.replica.stamp if self.synced else Stamp("", -1)

    # Commands

    def add(self, op: Add, since: float, waiter: Waiter) -> None:
        """Take an update in. Raises `Refused` where the total would leave what a player may have."""
        if op.op_id is not None:
            first = self.session.ops.recall(op.user_id, op.op_id)
            if first is not None:
                waiter(self.session.answer(op.user_id, first, op.op_id))
                return
            same = self._by_id.get((op.user_id, op.op_id))
            if same is not None:
                self._join_in(same, waiter)
                return
        self._check_total(op)
        self.name(op.user_id, since)
        pending = Pending(op, since, [waiter])
        self._queue.append(pending)
        if op.op_id is not None:
            self._by_id[op.user_id, op.op_id] = pending

    def overwrite(self, op: Populate | Reset, since: float, waiter: Waiter) -> None:
        """Take a populate or a reset in."""
        self._queue.append(Pending(op, since, [waiter]))

    def name(self, user_id: str, since: float) -> None:
        """Keep the name of a user who is ranked, or about to be, where it is not the one everybody would guess."""
        username = self.session.username(user_id)
        if self._named.get(user_id, default_username(user_id)) != username:
            self._named[user_id] = username
            self._queue.append(Pending(Name(user_id, username), since))

    def _join_in(self, same: Pending, waiter: Waiter) -> None:
        """Another connection repeats an update that is still on its way."""
        assert isinstance(same.op, Add)
        same.waiters.append(waiter)
        if same.provisional:
            waiter(self.session.answer(same.op.user_id, same.op.points, same.op.op_id, durable=False))

    def _check_total(self, op: Add) -> None:
        total = self._total(op.user_id) or 0
        # What waits is added up only where it could matter, that is, nearly never.
        if abs(total) + (len(self) + 1) * MAX_POINTS > MAX_TOTAL:
            for other in self._unconfirmed():
                if isinstance(other.op, Add) and other.op.user_id == op.user_id and not other.provisional:
                    total += other.op.points
        check_total(total + op.points, op.op_id)

    # What takes too long is answered provisionally

    @property
    def oldest_unanswered(self) -> Pending | None:
        """The operation that waits longest without any answer."""
        index = self._provisional
        if self.in_flight is not None:
            if index < len(self.in_flight.pending):
                return self.in_flight.pending[index]
            index -= len(self.in_flight.pending)
        return self._queue[index] if index < len(self._queue) else None

    def answer_provisionally(self, before: float) -> list[Event]:
        """Show what has been waiting since before then, and answer it provisionally."""
        events: list[Event] = []
        while (pending := self.oldest_unanswered) is not None and pending.since <= before:
            if self.session.epoch == self.replica.stamp.epoch:
                self.session.move_to(f"{self.replica.stamp.epoch}~{self._private()}", self.session.version)
            pending.advance(ANSWER_PROVISIONALLY)
            self._provisional += 1
            events += self._show_provisionally(pending)
        return events

    def _show_provisionally(self, pending: Pending) -> list[Event]:
        op, session = pending.op, self.session
        match op:
            case Add():
                self._put_ahead(pending, op.user_id, op.points)
                session.move_on()
                scored = session.place(op.user_id, self._total(op.user_id) or 0, op.points, op.received_at)
                pending.answer(session.answer(op.user_id, op.points, op.op_id, durable=False))
                return [scored]
            case Populate():
                for user_id, score in op.scores.items():
                    self._put_ahead(pending, user_id, score - (self._total(user_id) or 0))
            case Reset():
                # What was shown before is off the board, and does not come back with its confirmation.
                for earlier in self._unconfirmed():
                    earlier.ahead.clear()
                self._ahead.clear()
                self._hiding += 1
            case Name():
                return []
        session.move_on()
        self._show()
        pending.answer(None)
        return [POPULATED if isinstance(op, Populate) else CLEARED]

    def _put_ahead(self, pending: Pending, user_id: str, points: int) -> None:
        pending.ahead[user_id] = points
        self._ahead[user_id] = self._ahead.get(user_id, 0) + points

    # What was sent comes back

    def next_batch(self) -> OperationBatch | None:
        """What is to be confirmed next, and to be sent if it was not."""
        if self.in_flight is None and self._queue:
            pending = tuple(self._queue.popleft() for _ in range(min(len(self._queue), MAX_BATCH)))
            for one in pending:
                one.advance(SEND)
            self._seq += 1
            self.in_flight = OperationBatch(self._seq, pending, to_wire([one.op for one in pending]))
        return self.in_flight

    def take(self, applied: Applied, now: float) -> list[Event]:
        """Follow what was applied. Raises `Behind` when something before it was missed.

        Raises ValueError for operations that cannot be read; nothing has changed then.
        """
        known, row = self.replica.stamp, self.replica.row(applied.worker)
        comparable = self.synced and applied.stamp.epoch == known.epoch
        if comparable and applied.seq <= row.seq:
            return []  # it was read already
        if not comparable or applied.since != known.version:
            # The points will be read; of the ids this may be the only word.
            from_wire(applied.text)
            self._missed.append(applied)
            raise Behind
        mine = applied.worker == self._worker and self.in_flight is not None and self.in_flight.seq == applied.seq
        if mine and self.in_flight is not None:
            pending, self.in_flight = self.in_flight.pending, None
        else:
            pending = tuple(Pending(op, 0.0, state=SENT) for op in from_wire(applied.text))
        row.seq = applied.seq
        version = known.version
        events: list[Event] = []
        for index, one in enumerate(pending):
            first = applied.repeated.get(index)
            if first is None:
                self.replica.apply(applied.worker, one.op)
                version += not isinstance(one.op, Name)
            self.replica.stamp = Stamp(applied.stamp.epoch, version, applied.stamp.updates)
            events += self._confirm(one, CONFIRM, first, now)
            if not mine:
                events += self._drop_repeated(one.op, now)
        return events + self._return()

    def lost(self, reading: SessionSnapshot) -> list[Lost]:
        """What Redis has lost, or must not take any more, before the reading can be adopted.

        A batch in flight that is not in the reading is given up: its number is passed over, so that it
        cannot be applied when it arrives late, and what it holds will be sent under another one.
        """
        lost = [Lost(worker, self.replica.row(worker).seq, self.replica.row(worker).seq)
                for worker in self.replica.newer_than(reading)]  # fmt: skip
        if self.in_flight is not None and reading.rows.get(self._worker, WorkerRow()).seq < self.in_flight.seq:
            own = Lost(self._worker, self.in_flight.seq + 1, self.in_flight.seq)
            lost = [own, *(one for one in lost if one.worker != self._worker)]
        return lost

    def is_ahead_of(self, reading: SessionSnapshot) -> bool:
        """Whether the stream has brought more than was read."""
        stamp = self.replica.stamp
        return self.synced and reading.stamp.epoch == stamp.epoch and reading.stamp.version < stamp.version

    def reached(self, stamp: Stamp | None) -> bool:
        """Whether what is known here goes as far as that, as far as the two can be compared."""
        known = self.replica.stamp
        return stamp is None or stamp.epoch != known.epoch or stamp.version <= known.version

    def adopt(self, reading: SessionSnapshot, now: float) -> list[Event]:
        """Show what was read, and confirm what it holds of this process' own. There should be nothing `lost` in it."""
        before, synced = (self.session.epoch, self.session.version), self.synced
        known = self.replica.stamp
        self.replica.adopt(reading)
        self.synced = True
        self._named = dict(reading.names)
        own: tuple[Pending, ...] = ()
        if self.in_flight is not None:
            seq = self.replica.row(self._worker).seq
            if seq == self.in_flight.seq:
                own = self.in_flight.pending
            else:
                self._give_up(self.in_flight)
                self._seq = seq
            self.in_flight = None
        # Of a new epoch it cannot be said what is new in it and what was put back.
        unseen = reading.stamp.updates - known.updates if synced and reading.stamp.epoch == known.epoch else 0
        for one in own:
            unseen -= self._agree(one, CONFIRM) and isinstance(one.op, Add)
        events: list[Event] = []
        for user_id, username in reading.names.items():
            if not self.session.is_connected(user_id):
                events += self.session.rename(user_id, username)
        changed = self._show()
        if self._provisional:
            self.session.move_on(changed)
        else:
            self._return()
            self.session.move_to(reading.stamp.epoch, reading.stamp.version)
        for one in own:
            self._answer(one, None, now)
        events += self._learn(reading.recent, now)
        if changed or before != (self.session.epoch, self.session.version):
            events.append(Restored(max(unseen, 0)))
        return events

    def _give_up(self, batch: OperationBatch) -> None:
        for one in reversed(batch.pending):
            one.advance(GIVE_UP)
            self._queue.appendleft(one)

    def _learn(self, recent: list[Applied], now: float) -> list[Event]:
        """Remember the ids that were counted elsewhere while this process did not hear it."""
        missed, self._missed = self._missed, []
        ops = []
        for applied in (*missed, *recent):
            for index, op in enumerate(_readable(applied.text)):
                self._remember(op, applied.repeated.get(index), now)
                ops.append(op)
        return [event for op in ops for event in self._drop_repeated(op, now)] + self._return()

    def _drop_repeated(self, op: Op, now: float) -> list[Event]:
        """What was counted elsewhere is not sent; in flight already, it will be found to be a repetition there."""
        if not isinstance(op, Add) or op.op_id is None:
            return []
        one = self._by_id.get((op.user_id, op.op_id))
        if one is None or one not in self._queue:
            return []
        self._queue.remove(one)
        first = self.session.ops.recall(op.user_id, op.op_id)
        return self._confirm(one, COUNTED_ELSEWHERE, first, now)

    def _confirm(self, one: Pending, event: OperationEvent, first: int | None, now: float) -> list[Event]:
        """It was counted, or found to be a repetition of what had counted `first`."""
        provisional = self._agree(one, event)
        events = self._show_confirmed(one.op, first, provisional=provisional)
        self._answer(one, first, now)
        return events

    def _agree(self, one: Pending, event: OperationEvent) -> bool:
        """It is no longer ahead of what is agreed; whether it was."""
        provisional = one.state in PROVISIONAL
        one.advance(event)
        if provisional:
            self._provisional -= 1
            self._hiding -= isinstance(one.op, Reset)
            for user_id, points in one.ahead.items():
                self._ahead[user_id] -= points
        return provisional

    def _show_confirmed(self, op: Op, first: int | None, *, provisional: bool) -> list[Event]:
        if isinstance(op, Name):
            self._named.setdefault(op.user_id, op.username)
            # Who is connected is called as the last join said.
            return [] if self.session.is_connected(op.user_id) else self.session.rename(op.user_id, op.username)
        if isinstance(op, Reset):
            self._named.clear()
        if isinstance(op, Add):
            if first is None and not provisional:
                self._count()
                return [self.session.place(op.user_id, self._total(op.user_id) or 0, op.points, op.received_at)]
            if first is None or not provisional:
                return []
            # A repetition that counted on this process' own board, and nowhere else.
        changed = self._show()
        if provisional and not changed:
            return []
        self._count()
        if provisional or isinstance(op, Add):
            return [Restored()]
        return [POPULATED if isinstance(op, Populate) else CLEARED]

    def _answer(self, one: Pending, first: int | None, now: float) -> None:
        op, stamp = one.op, self.replica.stamp
        self._remember(op, first, now)
        if not isinstance(op, Add):
            one.answer(None)
        elif one.waiters:
            if op.op_id is not None:
                self._by_id.pop((op.user_id, op.op_id), None)
            points = op.points if first is None else first
            answer = self.session.answer(op.user_id, points, op.op_id)
            # An answer in the shared epoch says what everybody shows in it, whatever else is shown here.
            score = self.replica.totals.get(op.user_id, 0)
            one.answer(replace(answer, score=score, epoch=stamp.epoch, version=stamp.version))

    def _remember(self, op: Op, first: int | None, now: float) -> None:
        if isinstance(op, Add) and op.op_id is not None:
            self.session.ops.remember(op.user_id, op.op_id, op.points if first is None else first, now)

    # What is shown

    def _total(self, user_id: str) -> int | None:
        agreed = None if self._hiding else self.replica.totals.get(user_id)
        ahead = self._ahead.get(user_id) if self._provisional else None
        return agreed if ahead is None else (agreed or 0) + ahead

    def _show(self) -> bool:
        """Show all of it, whatever was shown before; whether that changed anything."""
        scores = {} if self._hiding else dict(self.replica.totals)
        if self._provisional:
            for user_id, points in self._ahead.items():
                scores[user_id] = scores.get(user_id, 0) + points
        return self.session.show(scores)

    def _count(self) -> None:
        """One more change is shown."""
        if self.session.epoch == self.replica.stamp.epoch:
            self.session.move_to(self.session.epoch, self.replica.stamp.version)
        else:
            self.session.move_on()

    def _return(self) -> list[Event]:
        """With nothing provisional left, show the session in everybody's epoch again."""
        stamp = self.replica.stamp
        if self._provisional or self.session.epoch == stamp.epoch:
            return []
        self._ahead.clear()
        self._show()
        self.session.move_to(stamp.epoch, stamp.version)
        return [Restored()]

    def _unconfirmed(self) -> Iterator[Pending]:
        return chain(() if self.in_flight is None else self.in_flight.pending, self._queue)


def _readable(text: bytes) -> list[Op]:
    """The operations of a batch that was read in Redis, or none where a newer version wrote them.

    Their points are in the rows that were read with them, and their ids are in Redis itself.
    """
    try:
        return from_wire(text)
    except ValueError:
        return []
