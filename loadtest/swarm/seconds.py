"""The run second by second: what became known in each, and the totals that add up from them."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from loadtest.measure.histogram import Histogram
from loadtest.measure.pair_ledger import Ledger, Resolved
from loadtest.measure.run_totals import Second, Tally
from loadtest.swarm.run_clock import RunClock

Floats = NDArray[np.float64]


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

    `name` is the generator process, `counters` reads what it has counted so far.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: RunClock,
        ledger: Ledger,
        tally: Tally,
        lags: tuple[array[float], array[float]],
        counters: Callable[[], Counters],
    ) -> None:
        self._name = name
        self._clock = clock
        self._ledger = ledger
        self._tally = tally
        self._receive_lags, self._loop_lags = lags
        self._counters = counters
        self._open = Second(0, "")
        self._last_at = 0
        self._before = Counters()
        self._cpu = (time.time(), time.thread_time())

    def close(self, players: int) -> Second:
        """Close the open second, in which so many players were there."""
        self.absorb()
        second, self._open = self._open, Second(0, "")
        wall = time.time()
        self._last_at = max(int(wall), self._last_at + 1)
        second.at, second.phase, second.players = self._last_at, self._clock.phase, players
        second.cpu[self._name] = self._cpu_share(wall)
        counters = self._counters()
        counters.write_growth(self._before, second)
        self._before = counters
        return second

    def absorb(self, *, final: bool = False) -> None:
        """Take from the ledger what became known, into the totals and the second that is open; often is cheaper."""
        resolved = self._ledger.resolve(time.time(), final=final)
        receive, loop = np.array(self._receive_lags), np.array(self._loop_lags)
        for lags in (self._receive_lags, self._loop_lags):
            del lags[:]
        latency, ack = Histogram(resolved.latency), Histogram(resolved.ack)
        self._open.latency.merge(latency)
        self._open.ack.merge(ack)
        # For the line all three kinds of lag together; the verdict takes the worst of them.
        self._open.lag.record(np.concatenate([resolved.send_lag, receive, loop]))
        self._open.skew.record(resolved.skew)
        self._open.inside.record(resolved.inside)
        self._tally.latency.merge(latency)
        self._tally.ack.merge(ack)
        self._total(resolved, receive, loop)

    def _total(self, resolved: Resolved, receive: Floats, loop: Floats) -> None:
        for name, values in (
            ("age", resolved.age),
            ("skew", resolved.skew),
            ("inside", resolved.inside),
            ("send_lag", resolved.send_lag),
            ("receive_lag", receive),
            ("loop_lag", loop),
        ):
            getattr(self._tally, name).record(values)
        self._tally.boards += resolved.boards
        self._tally.board_updates += resolved.board_updates

    def _cpu_share(self, wall: float) -> float:
        """This thread's share of a core since the last second was closed."""
        since, used = self._cpu
        self._cpu = (wall, time.thread_time())
        share = round((self._cpu[1] - used) / max(wall - since, 1e-9), 4)
        if since >= self._clock.begins and wall <= self._clock.ends:
            self._tally.busy.setdefault(self._name, []).append(share)
        return share
