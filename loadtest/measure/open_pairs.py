"""The (update, receiver) pairs that wait for their board, and what the boards that came did to the screens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from loadtest.measure.board_receipts import ReceiptLog
from loadtest.measure.board_spread import NO_FLOATS, NO_INTS, Floats, Ints
from loadtest.measure.missed_versions import Reach
from loadtest.measure.receipt_lot import NEWEST, Lot
from loadtest.measure.run_totals import Counts
from loadtest.measure.sent_updates import PATIENCE, Relief, Update, Updates

# About a millisecond of work:
PAIRS_AT_ONCE: Final = 10_240
PARTS_AT_ONCE: Final = 8  # of fewer pairs


class Screens(NamedTuple):
    """Receipts that brought updates: receiver, arrival, and of their oldest update the bounds of its latency."""

    receiver: Ints
    time: Floats
    age: Floats
    age_lower: Floats
    age_relieved: Floats

    def joined(self, other: Screens) -> Screens:
        """Both together."""
        return Screens(
            np.append(self.receiver, other.receiver), np.append(self.time, other.time),
            np.append(self.age, other.age), np.append(self.age_lower, other.age_lower),
            np.append(self.age_relieved, other.age_relieved),
        )  # fmt: skip


class Found(NamedTuple):
    """Pairs whose board came: at most and at least how many seconds each took, and the screens that they changed."""

    latency: Floats
    latency_lower: Floats
    latency_relieved: Floats  # its lower bound without the time in which others kept the service from a CPU
    screens: Screens

    @classmethod
    def joined(cls, parts: Sequence[Found]) -> Found:
        """All of them together, without their screens."""
        if len(parts) == 1:
            return parts[0]
        latency = np.concatenate([NO_FLOATS, *(part.latency for part in parts)])
        lower = relieved = np.concatenate([NO_FLOATS, *(part.latency_lower for part in parts)])
        if any(part.latency_relieved is not part.latency_lower for part in parts):
            relieved = np.concatenate([part.latency_relieved for part in parts])
        return cls(latency, lower, relieved, NO_SCREENS)


NO_SCREENS: Final = Screens(NO_INTS, NO_FLOATS, NO_FLOATS, NO_FLOATS, NO_FLOATS)


class _Hits(NamedTuple):
    """Rows of a lot, each the first receipt of its receiver with the versions that were searched."""

    lot: Lot
    row: Ints


class _Search:
    """The first boards of some receivers with a version, and how far the same boards are those of other versions."""

    def __init__(self, receivers: Ints, versions: Mapping[int, int], lots: Sequence[Lot]) -> None:
        self.hits: list[_Hits] = []
        self.rest = receivers  # those without such a board
        self._receivers = receivers
        self._epochs = versions.keys()
        self._first_lot = lots[0].number if lots else NEWEST
        self._above, self._up_to = -1, NEWEST
        for lot in lots:
            if not len(self.rest):
                break
            newest = lot.newest(versions)
            if newest < NEWEST:
                self._above = max(self._above, newest)
                continue
            row, above, up_to = lot.first(self.rest, versions)
            self._above, self._up_to = max(self._above, above), min(self._up_to, up_to)
            came = row >= 0
            if came.any():
                self.hits.append(_Hits(lot, row[came]))
                self.rest = self.rest[~came]

    def finds(self, receivers: Ints, versions: Mapping[int, int], lots: Sequence[Lot]) -> bool:
        """Whether a search for these would find the same.

        It may begin at a later lot: what came before cannot have brought them.
        """
        return (
            versions.keys() == self._epochs
            and all(self._above < version <= self._up_to for version in versions.values())
            and (not lots or self._first_lot <= lots[0].number)
            and np.array_equal(receivers, self._receivers)
        )


class _Peaks:
    """Of each receipt that brought updates the largest bounds of their latencies."""

    def __init__(self) -> None:
        self._by_lot: dict[int, tuple[Lot, Floats]] = {}

    def add(self, hits: _Hits, latencies: Sequence[Floats]) -> None:
        """Each of these rows brought updates with these latencies: for each kind the largest of each row."""
        lot, row = hits
        _, peaks = self._by_lot.setdefault(lot.number, (lot, np.full((3, len(lot.receipts.receiver)), -np.inf)))
        for peak, latency in zip(peaks, latencies, strict=True):
            peak[row] = np.maximum(peak[row], latency)

    def screens(self) -> Screens:
        """The receipts, each once."""
        found = NO_SCREENS
        for lot, peaks in self._by_lot.values():
            rows = np.flatnonzero(np.isfinite(peaks[0]))
            found = found.joined(Screens(lot.receipts.receiver[rows], lot.receipts.time[rows], *peaks[:, rows]))
        return found


class _Waiting:
    """An update's receivers whose board has not come, and which versions were searched in which lots."""

    __slots__ = ("_searched", "receivers", "versions")

    def __init__(self, receivers: Ints) -> None:
        self.receivers = receivers
        self.versions: dict[int, int] = {}
        self._searched = -1

    def unsearched(self, versions: Mapping[int, int], lots: Sequence[Lot]) -> Sequence[Lot]:
        """The lots that are to be searched for these versions."""
        if versions != self.versions:  # there was another answer
            self.versions, self._searched = dict(versions), -1
        return [lot for lot in lots if lot.number > self._searched]

    def keep(self, rest: Ints, lots: Sequence[Lot]) -> None:
        """Wait for the rest, after a search of these lots."""
        self.receivers = rest
        if lots:
            self._searched = lots[-1].number


class Pairs:
    """The open pairs: for each update the receivers whose board has not come."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._open: dict[int, _Waiting] = {}

    def __len__(self) -> int:
        """How many are open."""
        return sum(len(waiting.receivers) for waiting in self._open.values())

    @property
    def updates(self) -> list[int]:
        """The numbers of the updates that have open pairs."""
        return list(self._open)

    def wait_for(self, receiver: int) -> bool:
        """Whether any of them waits for a board of this receiver."""
        return any(bool((waiting.receivers == receiver).any()) for waiting in self._open.values())

    def open(self, update: int, receivers: Ints) -> None:
        """The update is owed to these receivers."""
        self._counts.pairs_owed += len(receivers)
        if len(receivers):
            self._open[update] = _Waiting(receivers)

    def matching(self, updates: Updates, log: ReceiptLog, relief: Relief) -> Iterator[Found]:
        """Find each pair's first board, some thousand pairs at a time; keep the pairs that found none."""
        if not self._open:
            return
        # No board brings an update before it was to be sent.
        lots = log.kept_since(min(updates[number].due for number in self._open))
        peaks = _Peaks()
        parts: list[Found] = []
        pairs = 0
        for search, found in self._searches(updates, lots):
            for hits in search.hits:
                step = max(PAIRS_AT_ONCE // len(hits.row), 1)
                for first in range(0, len(found), step):
                    parts.append(self._found(hits, found[first : first + step], relief, peaks))
                    pairs += len(parts[-1].latency)
                    if pairs >= PAIRS_AT_ONCE or len(parts) >= PARTS_AT_ONCE:
                        yield Found.joined(parts)
                        parts, pairs = [], 0
        yield Found.joined(parts)._replace(screens=peaks.screens())

    def _searches(self, updates: Updates, lots: Sequence[Lot]) -> Iterator[tuple[_Search, list[Update]]]:
        """Search for all open pairs; yields each search with the updates that it is for."""
        search: _Search | None = None
        served: list[Update] = []
        for number, waiting in list(self._open.items()):
            update = updates[number]
            unsearched = waiting.unsearched(update.versions, lots)
            if search is None or not search.finds(waiting.receivers, update.versions, unsearched):
                if search is not None:
                    yield search, served
                search, served = _Search(waiting.receivers, update.versions, unsearched), []
            served.append(update)
            if len(search.rest):
                waiting.keep(search.rest, lots)
            else:
                del self._open[number]
        if search is not None:
            yield search, served

    def _found(self, hits: _Hits, updates: Sequence[Update], relief: Relief, peaks: _Peaks) -> Found:
        """The pairs of these updates with the receivers of these receipts."""
        receipts = hits.lot.receipts
        came, earliest = receipts.time[hits.row], receipts.earliest[hits.row]
        intended, sent = np.array([(update.intended, update.sent) for update in updates]).T[:, :, np.newaxis]
        latency, lower = came - intended, np.maximum(earliest - sent, 0.0)
        taken = relief(sent, earliest)
        relieved = np.maximum(lower - taken, 0.0) if taken.any() else lower
        peaks.add(hits, [one.max(axis=0) for one in (latency, lower, relieved)])
        self._counts.pairs_received += latency.size
        flat = lower.ravel()
        return Found(latency.ravel(), flat, flat if relieved is lower else relieved.ravel(), NO_SCREENS)

    def give_up(
        self, updates: Updates, reach: Reach, sure_since: Callable[[Ints], Floats], now: float, *, final: bool
    ) -> Floats:
        """Count the pairs whose patience ended, all of them if `final`, as lost or unresolved.

        Returns at least how many seconds each of them takes: no end, if its receiver has been connected and read since
        the update was meant (`sure_since`), and nothing, if the pair proves nothing.
        """
        given_up = [NO_FLOATS]
        for number, waiting in list(self._open.items()):
            receivers = waiting.receivers
            update = updates[number]
            assert update.answered is not None  # or it would have no pairs
            if not final and now - update.answered <= PATIENCE:
                continue
            # Epochs are numbered as they appear. One that comes back would have resolved the pair.
            moved_on = reach.epochs_of(receivers) > max(update.versions)
            unresolved = int(moved_on.sum())
            self._counts.pairs_unresolved += unresolved
            self._counts.pairs_lost += len(receivers) - unresolved
            certain = ~moved_on & (sure_since(receivers) <= update.intended)
            given_up.append(np.where(certain, np.inf, 0.0))
            del self._open[number]
        return np.concatenate(given_up)


class AgePeaks:
    """For each receiver its newest board that brought updates, and the age of the screen that this board ended."""

    def __init__(self) -> None:
        self._newest = NO_SCREENS

    def add(self, screens: Screens, *, final: bool) -> tuple[Floats, Floats, Floats]:
        """Return the peaks of age that are over, in seconds: at most, at least, and that relieved of others.

        A receiver's newest board is kept back until `final`: an answer may still add to it.
        """
        together = self._newest.joined(screens)
        if not len(together.receiver):
            return NO_FLOATS, NO_FLOATS, NO_FLOATS
        order = np.lexsort((together.time, together.receiver))
        receiver, time = together.receiver[order], together.time[order]
        starts = np.flatnonzero(np.append(True, (receiver[1:] != receiver[:-1]) | (time[1:] != time[:-1])))
        age, lower, relieved = (np.maximum.reduceat(column[order], starts) for column in together[2:])
        receiver, time = receiver[starts], time[starts]
        newest = np.append(receiver[1:] != receiver[:-1], True) & (not final)
        self._newest = Screens(receiver[newest], time[newest], age[newest], lower[newest], relieved[newest])
        return age[~newest], lower[~newest], relieved[~newest]
