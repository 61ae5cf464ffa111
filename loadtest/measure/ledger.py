"""Every (update, receiver) pair of one generator process: what was owed, what came, and how late.

An update is told its place by the answer to its sender: (epoch, version). Each receiver's boards
are logged as (version, epoch, time). A board of version v brings every update of its epoch in
(previous, v] to that receiver, so an update has arrived with the receiver's first board of the
epoch whose version is not lower. Latency is that board's time minus the update's *intended* time.

The rules in full:

- Receiver r is owed update u when r took part at u's intended time (`enter`, `leave`); a broken
  connection takes nothing off: what is owed stays owed until the player leaves on purpose.
- An update may be told several (epoch, version): first in the epoch of one server process, later
  in the shared one. The earliest board that satisfies any of them counts, so an update whose
  answer was not durable is held back until the durable one came or the run is over.
- Pairs without a board after `PATIENCE` seconds are lost. But where the receiver has been shown a later
  epoch instead, the versions that the sender was told say nothing of its board any more: such a pair
  is *unresolved*. Whether the update counted is then for the comparison of boards to find out. Updates
  without an answer are *unanswered*, and likewise for that comparison.
- A receiver's screen is *old* from the moment at which an update was meant until the board that brings it.
  For each of its boards the oldest update that it brought counts: the peaks of the age of what was shown.
- Reach is counted in versions, so that it covers the updates of all generator processes: a receiver is
  owed each version of the session, and has missed those that a board says were told before it
  (`version - updates` above what the receiver had last). A board with `updates` 0 – a snapshot, or the
  one after the service skipped a slow socket – tells the whole state and misses nothing.

Nothing is computed per delivery: the reader appends three numbers, and now and then `resolve`
turns them into pairs in bulk. All times are seconds on one clock. No I/O, no clock of its own.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from loadtest.measure.boards import SETTLED, BoardHead, BoardTable, Bools, Floats, Ints

PATIENCE: Final = 30.0  # seconds until a pair counts as lost, or an answer as missing
_VERSION_BITS: Final = 40

_NO_INTS: Final[Ints] = np.empty(0, np.int64)
_NO_FLOATS: Final[Floats] = np.empty(0)


@dataclass(slots=True)
class _Update:
    sender: int
    intended: float
    sent: float
    points: int
    answered: float | None = None
    durable: bool = False
    released: bool = False  # handed over to the pairs
    told: dict[int, int] = field(default_factory=dict)  # epoch → lowest version


@dataclass(slots=True)
class Resolved:
    """What became known in one call of `resolve`, of the measured time only; arrays in seconds."""

    latency: Floats  # intended time → receiver's board
    ack: Floats  # sent → first answer
    send_lag: Floats  # intended → sent
    skew: Floats  # per board: last receiver minus first
    inside: Floats  # per board: from the oldest folded update's receipt to the encoding
    age: Floats  # per receiver and board: how long the oldest update that it brought had not been shown
    boards: int = 0
    board_updates: int = 0  # the `updates` of those boards


@dataclass(slots=True)
class Counts:
    """Totals of the measured time."""

    updates: int = 0  # sent, intended within the measured time
    answered: int = 0
    unanswered: int = 0
    refused: int = 0
    pairs_owed: int = 0
    pairs_received: int = 0
    pairs_lost: int = 0
    pairs_unresolved: int = 0  # answered in an epoch that ended before the receiver was shown that version
    versions_owed: int = 0
    versions_missed: int = 0
    gaps: int = 0  # boards that showed their receiver that it had missed versions
    reordered: int = 0  # boards whose version was lower than one before on the same socket


class Ledger:
    """The books of one generator process. Receivers and updates are numbered by their owner, from 0."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.points: dict[int, int] = {}  # receiver → points of its answered updates, measured or not
        self._begins = math.inf
        self._updates: dict[int, _Update] = {}
        self._given_up: dict[int, _Update] = {}  # never answered
        self._epochs: dict[str, int] = {}
        self._boards = BoardTable()
        self._receipts_before = 0  # those resolved
        # One row per receipt, since the last `resolve`.
        self._receiver = array("q")
        self._board = array("q")
        self._time = array("d")
        # Of the measured updates, since the last `resolve`.
        self._acks = array("d")
        self._send_lags = array("d")
        # Receipts that may still be needed: (receiver, version, epoch, time) and the latest time of each lot.
        self._history: list[tuple[Ints, Ints, Ints, Floats, float]] = []
        # Pairs that wait for their board.
        self._open_update = _NO_INTS
        self._open_receiver = _NO_INTS
        # Per receiver.
        self._since: Floats = np.empty(0)
        self._until: Floats = np.empty(0)
        self._last_version = _NO_INTS
        self._last_epoch = _NO_INTS
        # The newest board of each receiver, and the age that it ended: (receiver, time, age).
        self._peaks: tuple[Ints, Floats, Floats] = (_NO_INTS, _NO_FLOATS, _NO_FLOATS)

    # Who takes part

    def enter(self, receiver: int, now: float) -> None:
        """From now on the receiver is owed every update."""
        missing = receiver + 1 - len(self._since)
        if missing > 0:
            self._since = np.append(self._since, np.full(missing, np.inf))
            self._until = np.append(self._until, np.full(missing, np.inf))
            self._last_version = np.append(self._last_version, np.full(missing, -1))
            self._last_epoch = np.append(self._last_epoch, np.full(missing, -1))
        self._since[receiver] = min(self._since[receiver], now)

    def leave(self, receiver: int, now: float) -> None:
        """The receiver left on purpose: updates intended later are not owed to it."""
        self._until[receiver] = now

    def begin(self, now: float) -> None:
        """The measured time begins: updates intended before, and boards received before, are not counted."""
        self._begins = now

    @property
    def receivers(self) -> int:
        """How many take part."""
        return int((np.isfinite(self._since) & np.isinf(self._until)).sum())

    @property
    def seen(self) -> int:
        """How many ever took part."""
        return int(np.isfinite(self._since).sum())

    # Updates

    def sent(self, update: int, *, sender: int, intended: float, now: float, points: int) -> None:
        """The update went out for the first time."""
        self._updates[update] = _Update(sender, intended, now, points)
        if intended >= self._begins:
            self.counts.updates += 1
            self._send_lags.append(now - intended)

    def answered(self, update: int, epoch: str, version: int, *, durable: bool, now: float) -> float | None:
        """The sender was told (epoch, version). Returns seconds since it was sent, None for a repeated answer."""
        entry = self._updates.get(update)
        if entry is None:
            return self._answered_late(update, now)
        number = self._epoch(epoch)
        entry.told[number] = min(version, entry.told.get(number, version))
        entry.durable |= durable
        if entry.answered is not None:
            return None
        entry.answered = now
        self.points[entry.sender] = self.points.get(entry.sender, 0) + entry.points
        if entry.intended >= self._begins:
            self.counts.answered += 1
            self._acks.append(now - entry.sent)
        return now - entry.sent

    def _answered_late(self, update: int, now: float) -> float | None:
        """An answer after the patience ended counts for the scores; its pairs can no longer be told."""
        entry = self._given_up.pop(update, None)
        if entry is None:
            return None
        self.points[entry.sender] = self.points.get(entry.sender, 0) + entry.points
        if entry.intended >= self._begins:
            self.counts.unanswered -= 1
            self.counts.answered += 1
        return now - entry.sent

    @property
    def doubtful(self) -> set[int]:
        """Receivers with updates that were never answered: they may have counted or not."""
        waiting = (entry for entry in self._updates.values() if entry.answered is None)
        return {entry.sender for entry in (*self._given_up.values(), *waiting)}

    def refused(self, update: int) -> None:
        """The service refused the update for good: it counts nowhere, so it is owed to nobody."""
        entry = self._updates.pop(update, None)
        if entry is not None and entry.intended >= self._begins:
            self.counts.refused += 1

    @property
    def waiting(self) -> int:
        """Updates without an answer, or without the durable one."""
        return sum(not entry.released and not entry.durable for entry in self._updates.values())

    @property
    def receipts(self) -> int:
        """Boards received so far, at every receiver."""
        return self._receipts_before + len(self._receiver)

    @property
    def open_pairs(self) -> int:
        """Pairs that wait for their board, as of the last `resolve`."""
        return len(self._open_update)

    # Boards

    def board(self, head: BoardHead) -> int:
        """The number under which receipts of this board are logged."""
        return self._boards.add(head, self._epoch(head.epoch))

    def received(self, receiver: int, board: int, now: float) -> None:
        """The receiver got the board."""
        self._receiver.append(receiver)
        self._board.append(board)
        self._time.append(now)

    @property
    def log(self) -> tuple[Callable[[int], None], Callable[[int], None], Callable[[float], None]]:
        """What `received` does, for a reader in a hurry: append receiver, board, time; each of them, in any order."""
        return self._receiver.append, self._board.append, self._time.append

    def holds(self, epoch: str, version: int) -> Bools:
        """Per receiver: whether its last board, as of the last `resolve`, is this one."""
        held: Bools = (self._last_epoch == self._epochs.get(epoch, -2)) & (self._last_version == version)
        return held

    def owe_rest(self, epoch: str, version: int) -> None:
        """The run is over at this version: what a receiver has not seen of it was missed."""
        there = np.isfinite(self._since) & np.isinf(self._until)
        behind = there & (self._last_epoch == self._epochs.get(epoch, -2)) & (self._last_version < version)
        missed = int((version - self._last_version[behind]).sum())
        self.counts.versions_owed += missed
        self.counts.versions_missed += missed

    # Ten times a second

    def resolve(self, now: float, *, final: bool = False) -> Resolved:
        """Turn what was logged since the last call into pairs. `final`: what is still open then is lost."""
        acks, send_lags = np.array(self._acks), np.array(self._send_lags)
        resolved = Resolved(_NO_FLOATS, acks, send_lags, _NO_FLOATS, _NO_FLOATS, _NO_FLOATS)
        for times in (self._acks, self._send_lags):
            del times[:]
        self._close_receipts(now, resolved, final=final)
        self._release(now, final=final)
        brought: tuple[Ints, Floats, Floats] = (_NO_INTS, _NO_FLOATS, _NO_FLOATS)
        if len(self._open_update):
            brought = self._match()
            self._give_up(now, final=final)
        resolved.latency = brought[2]
        resolved.age = self._note_ages(*brought, final=final)
        self._forget(now)
        return resolved

    def _epoch(self, epoch: str) -> int:
        return self._epochs.setdefault(epoch, len(self._epochs))

    def _close_receipts(self, now: float, resolved: Resolved, *, final: bool) -> None:
        receiver = np.array(self._receiver, np.int64)
        board = np.array(self._board, np.int64)
        time = np.array(self._time, np.float64)
        for column in (self._receiver, self._board, self._time):
            del column[:]
        self._receipts_before += len(receiver)
        if len(receiver):
            version, epoch, floor = self._boards.look_up(board)
            self._history.append((receiver, version, epoch, time, float(time.max())))
            self._count_versions(receiver, version, epoch, floor, time)
            self._boards.note_skew(board, time)
        self._close_boards(now, resolved, final=final)

    def _count_versions(self, receiver: Ints, version: Ints, epoch: Ints, floor: Ints, time: Floats) -> None:
        """Reach: what each receipt brought, and what was told before it and never came."""
        order = np.argsort(receiver, kind="stable")
        receiver, version, epoch, floor = (column[order] for column in (receiver, version, epoch, floor))
        time = time[order]
        first = np.empty(len(receiver), bool)
        first[0] = True
        np.not_equal(receiver[1:], receiver[:-1], out=first[1:])
        previous = np.empty_like(version)
        previous[1:] = version[:-1]
        previous[first] = self._last_version[receiver[first]]
        previous_epoch = np.empty_like(epoch)
        previous_epoch[1:] = epoch[:-1]
        previous_epoch[first] = self._last_epoch[receiver[first]]
        same = (epoch == previous_epoch) & (time >= self._begins)
        gained = version - previous
        self.counts.versions_owed += int(gained[same & (gained > 0)].sum())
        missed = np.maximum(floor - previous, 0)[same & (gained > 0)]
        self.counts.versions_missed += int(missed.sum())
        self.counts.gaps += int((missed > 0).sum())
        self.counts.reordered += int((same & (gained < 0)).sum())
        last = np.append(first[1:], True)
        self._last_version[receiver[last]] = version[last]
        self._last_epoch[receiver[last]] = epoch[last]

    def _close_boards(self, now: float, resolved: Resolved, *, final: bool) -> None:
        """Boards that have reached everyone by now: their spread, their size, their time in the service."""
        skew: list[float] = []
        inside: list[float] = []
        for board in self._boards.take_complete(math.inf if final else now - SETTLED):
            if not board.updates or board.first < self._begins:
                continue  # a snapshot, a change of presence, or before the measured time
            skew.append(board.last - board.first)
            resolved.boards += 1
            resolved.board_updates += board.updates
            if not math.isnan(board.inside):
                inside.append(board.inside)
        resolved.skew, resolved.inside = np.array(skew), np.array(inside)

    def _release(self, now: float, *, final: bool) -> None:
        """Make pairs of the updates whose last answer came."""
        for number, entry in list(self._updates.items()):
            if entry.released:
                continue
            measured = entry.intended >= self._begins
            if entry.answered is None:
                if final or now - entry.sent > PATIENCE:
                    self.counts.unanswered += measured
                    self._given_up[number] = self._updates.pop(number)
                continue
            if not (entry.durable or final or now - entry.answered > PATIENCE):
                continue
            if not measured:
                del self._updates[number]
                continue
            entry.released = True
            owed = np.flatnonzero((self._since <= entry.intended) & (entry.intended < self._until))
            self.counts.pairs_owed += len(owed)
            self._open_update = np.append(self._open_update, np.full(len(owed), number))
            self._open_receiver = np.append(self._open_receiver, owed)

    def _match(self) -> tuple[Ints, Floats, Floats]:
        """Find each open pair's first board: (receiver, time, latency) of those found; keep what found none."""
        numbers, which = np.unique(self._open_update, return_inverse=True)
        entries = [self._updates[number] for number in numbers.tolist()]
        # No board brings an update before it was sent.
        earliest = min(entry.sent for entry in entries)
        parts = [part for part in self._history if part[4] >= earliest]
        receiver = np.concatenate([_NO_INTS, *(part[0] for part in parts)])
        version = np.concatenate([_NO_INTS, *(part[1] for part in parts)])
        epoch = np.concatenate([_NO_INTS, *(part[2] for part in parts)])
        time = np.concatenate([_NO_FLOATS, *(part[3] for part in parts)])
        came = np.full(len(self._open_update), np.inf)
        for one in {epoch for entry in entries for epoch in entry.told}:
            rows = np.flatnonzero(epoch == one)
            if not len(rows):
                continue
            rows = rows[np.argsort(receiver[rows], kind="stable")]
            # Sorted by receiver, then by arrival; within a receiver only what is newer than all before counts.
            key = np.maximum.accumulate((receiver[rows] << _VERSION_BITS) | version[rows])
            told = np.array([entry.told.get(one, -1) for entry in entries], np.int64)[which]
            asked = np.flatnonzero(told >= 0)
            wanted = (self._open_receiver[asked] << _VERSION_BITS) | told[asked]
            place = np.searchsorted(key, wanted)
            found = place < len(key)
            found[found] = receiver[rows[place[found]]] == self._open_receiver[asked[found]]
            hit = asked[found]
            came[hit] = np.minimum(came[hit], time[rows[place[found]]])
        has = np.isfinite(came)
        self.counts.pairs_received += int(has.sum())
        intended = np.array([entry.intended for entry in entries])[which]
        found_by = self._open_receiver[has]
        self._open_update = self._open_update[~has]
        self._open_receiver = self._open_receiver[~has]
        return found_by, came[has], came[has] - intended[has]

    def _note_ages(self, receiver: Ints, time: Floats, latency: Floats, *, final: bool) -> Floats:
        """The peaks of age that are over. A receiver's newest board is kept back: an answer may still add to it."""
        receiver, time, latency = (
            np.append(kept, new) for kept, new in zip(self._peaks, (receiver, time, latency), strict=True)
        )
        if not len(receiver):
            return _NO_FLOATS
        order = np.lexsort((time, receiver))
        receiver, time, latency = receiver[order], time[order], latency[order]
        starts = np.flatnonzero(np.append(True, (receiver[1:] != receiver[:-1]) | (time[1:] != time[:-1])))
        age: Floats = np.maximum.reduceat(latency, starts)
        receiver, time = receiver[starts], time[starts]
        newest = np.append(receiver[1:] != receiver[:-1], True) & (not final)
        self._peaks = (receiver[newest], time[newest], age[newest])
        ended: Floats = age[~newest]
        return ended

    def _give_up(self, now: float, *, final: bool) -> None:
        if not len(self._open_update):
            return
        numbers, which = np.unique(self._open_update, return_inverse=True)
        since = np.array([self._updates[number].answered for number in numbers.tolist()], np.float64)
        over = np.full(len(which), True) if final else (now - since > PATIENCE)[which]
        # Epochs are numbered as they appear. One that comes back would have resolved the pair.
        latest = np.array([max(self._updates[number].told) for number in numbers.tolist()], np.int64)
        moved_on = self._last_epoch[self._open_receiver] > latest[which]
        self.counts.pairs_lost += int((over & ~moved_on).sum())
        self.counts.pairs_unresolved += int((over & moved_on).sum())
        self._open_update = self._open_update[~over]
        self._open_receiver = self._open_receiver[~over]

    def _forget(self, now: float) -> None:
        """Drop what no pair can need any more, so that the books stay small however long the run is."""
        still_open = set(np.unique(self._open_update).tolist())
        for number in [number for number, entry in self._updates.items() if entry.released]:
            if number not in still_open:
                del self._updates[number]
        horizon = min((entry.sent for entry in self._updates.values()), default=now) - SETTLED
        self._history = [part for part in self._history if part[4] >= horizon]
        self._boards.forget()
