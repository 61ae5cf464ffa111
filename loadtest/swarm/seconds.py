"""The run second by second: what became known in each, and the totals that add up from them."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Mapping
from dataclasses import asdict, astuple, dataclass, fields
from typing import Final

import gevent
import numpy as np
from gevent.lock import RLock

from loadtest.measure.cpu_waiting import CpuWaiting
from loadtest.measure.histogram import Histogram
from loadtest.measure.pair_ledger import Ledger, Resolved
from loadtest.measure.run_totals import COURSES, HISTOGRAMS, JUDGED_COURSES, SERVICE, Second, Tally
from loadtest.measure.sent_updates import no_relief
from loadtest.swarm.absences import Absences
from loadtest.swarm.run_clock import RunClock
from loadtest.swarm.stamp_clock import StampClock

AT_A_TIME: Final = 0.002  # seconds, after which what has come is received
SHARE_OF_TURNS: Final = 0.02  # of the time that an absorption has lasted, in addition
A_MOMENT: Final = 1e-6  # seconds; gevent's sleep of none lets greenlets run, but nothing be received
RESOLVED: Final = tuple(field.name for field in fields(Resolved) if field.name in HISTOGRAMS)


@dataclass(frozen=True, slots=True)
class Counters:
    """What only ever grows, so far; the names are those of `Second`."""

    sent: int = 0
    answered: int = 0
    frames: int = 0
    bytes: int = 0
    errors: int = 0
    closes: int = 0
    owed: int = 0
    missed: int = 0

    def write_growth(self, before: Counters, second: Second) -> None:
        """Put into `second` what came since `before`."""
        for field, new, old in zip(fields(self), astuple(self), astuple(before), strict=True):
            setattr(second, field.name, new - old)


class Seconds:
    """Moves what the ledger and the lags have gathered into the second that is open and into the totals.

    `name` is the generator process, `waiting` are the processes whose waiting for a CPU is known, that of the service
    as `SERVICE`; `counters` reads what was counted so far, `send_due` sends the scores that are due by now.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: RunClock,
        ledger: Ledger,
        tally: Tally,
        stamps: StampClock,
        absences: Absences,
        waiting: Mapping[str, CpuWaiting],
        loop_lags: array[float],
        counters: Callable[[], Counters],
        send_due: Callable[[float], None],
    ) -> None:
        self._name = name
        self._clock = clock
        self._ledger = ledger
        self._tally = tally
        self._stamps = stamps
        self._absences = absences
        self._waiting = waiting
        self._loop_lags = loop_lags
        self._counters = counters
        self._send_due = send_due
        self._turn = RLock()  # between two steps somebody else may want to absorb
        self._open = Second(0, "")
        self._last_at = 0
        self._before = Counters()
        self._cpu = (clock.now(), time.thread_time())

    def close(self, players: int) -> Second:
        """Close the open second, in which so many players were there."""
        with self._turn:
            self.absorb()
            return self._close(players)

    def _close(self, players: int) -> Second:
        second, self._open = self._open, Second(0, "")
        self._last_at = max(int(time.time()), self._last_at + 1)
        second.at, second.phase, second.players = self._last_at, self._clock.phase, players
        since = self._cpu[0]
        share, whole = self._cpu_share()
        second.cpu[self._name] = share
        absent = self._absences.take_most()
        if whole:
            self._tally.busy.setdefault(self._name, []).append(share)
            second.absent = absent
            self._tally.absent = max(self._tally.absent, absent)
            self._add_waiting(since, self._cpu[0])
        counters = self._counters()
        counters.write_growth(self._before, second)
        self._before = counters
        return second

    def absorb(self, *, final: bool = False) -> None:
        """Take from the ledger what became known, into the totals and the second that is open; often is cheaper.

        A score that is due does not wait for all of it: between two parts, of a millisecond each, it is sent.
        """
        with self._turn:
            now = turned = self._clock.now()
            relief = self._waiting[SERVICE].within if SERVICE in self._waiting else no_relief
            for part in self._ledger.resolving(now, self._stamps.read(), relief, final=final):
                self._add(part)
                passed = self._clock.now()
                self._send_due(passed)
                # The longer it takes, the less often, or a loop that is always busy would never come to its end.
                if passed - turned > AT_A_TIME + SHARE_OF_TURNS * (passed - now):
                    gevent.sleep(A_MOMENT)
                    turned = self._clock.now()

    def _add(self, part: Resolved) -> None:
        loop = np.array(self._loop_lags)
        del self._loop_lags[:]
        self._tally.loop_lag.record(loop)
        # For the line all three kinds of lag together; the totals have each of them.
        self._open.lag.record(np.concatenate([part.send_lag, part.receive_lag, loop]))
        counted: dict[int, Histogram] = {}  # nothing to be relieved of: the same array twice
        for name in RESOLVED:
            values = getattr(part, name)
            if not len(values):
                continue
            if id(values) not in counted:
                counted[id(values)] = Histogram(values)
            getattr(self._tally, name).merge(counted[id(values)])
            if name in COURSES or name in JUDGED_COURSES:
                getattr(self._open, name).merge(counted[id(values)])
        self._tally.boards += part.boards
        self._tally.board_updates += part.board_updates

    def _add_waiting(self, begin: float, end: float) -> None:
        """Add what each process waited in this measured span to the totals."""
        for name, process in self._waiting.items():
            if process.known:
                total = self._tally.waited.setdefault(name, {"seconds": 0.0})
                for kind, seconds in {**asdict(process.between(begin, end)), "seconds": end - begin}.items():
                    total[kind] = total.get(kind, 0.0) + seconds

    def _cpu_share(self) -> tuple[float, bool]:
        """This thread's share of a core since the last second was closed, and whether all of that time was measured."""
        since, used = self._cpu
        now, used_now = self._cpu = (self._clock.now(), time.thread_time())
        share = round((used_now - used) / max(now - since, 1e-9), 4)
        return share, since >= self._clock.begins and now <= self._clock.ends
