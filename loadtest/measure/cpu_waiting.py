"""How long a process waited for a CPU because of others, where Linux tells.

The scheduler tells for each thread how long it was ready and did not run (`/proc/PID/task/*/schedstat`). Some of that
it waited for threads of its own. So at most the CPU time that others used on its cores meanwhile counts. Time that the
hypervisor took from its cores, and time in which its control group was throttled, come on top: nobody counts them as
waiting.

Sampled some ten times a second. Between two samples it is unknown when the waiting was, so of a span all of the waiting
between the samples around it counts, at most the span itself.
"""

from __future__ import annotations

import contextlib
import math
import os
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import psutil

from loadtest.measure.board_spread import Floats
from loadtest.measure.process_children import PROC, with_children

CGROUPS: Final = Path("/sys/fs/cgroup")
NOTABLE: Final = 0.005  # seconds
KEPT: Final = 1000  # samples at least; a pair is resolved within half a minute
LOOK_EVERY: Final = 1.0  # seconds; a thread that comes and goes in between is not seen
_HERTZ: Final = os.sysconf("SC_CLK_TCK")
_BUSY: Final = (0, 1, 2, 5, 6, 7)  # columns of /proc/stat: user, nice, system, irq, softirq, steal
_STEAL: Final = 7


@dataclass(frozen=True, slots=True)
class Waiting:
    """Seconds in which a process did not get a CPU because of others."""

    neighbours: float = 0.0
    steal: float = 0.0
    throttled: float = 0.0

    @property
    def total(self) -> float:
        """Of all kinds."""
        return self.neighbours + self.steal + self.throttled

    def __str__(self) -> str:
        """Those kinds that there were."""
        kinds = (f"{value:.2f} s ({one.name})" for one in fields(self) if (value := getattr(self, one.name)) >= NOTABLE)
        return ", ".join(kinds) or "0 s"


def in_words(waited: Mapping[str, Mapping[str, float]], least: float = 0.0) -> dict[str, str]:
    """Of each process that others kept from a CPU, for `least` seconds or longer, for how many of how many seconds.

    `waited` is that of a run's totals.
    """
    words = {}
    for name, told in waited.items():
        kinds = Waiting(*(told.get(one.name, 0.0) for one in fields(Waiting)))
        if kinds.total >= least:
            words[name] = f"{kinds} of {told['seconds']:.1f} s"
    return words


class _Sample(NamedTuple):
    """Seconds so far: of the process ready, of others on its cores, and taken by hypervisor and quota."""

    at: float
    ready: float
    foreign: float
    steal: float
    throttled: float


class CpuWaiting:
    """The course of one process with its children; nothing is known where the system does not tell."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._samples: list[_Sample] = []
        self._threads: dict[str, tuple[int, int]] = {}  # file of each thread → nanoseconds (own, ready), as seen last
        self._open: dict[str, int] = {}  # files that are read again and again
        self._cores: set[bytes] = set()  # their names in /proc/stat
        self._group = ""  # the file of the control group's quota
        self._looked = -math.inf

    def close(self) -> None:
        """Read no more."""
        for file in self._open.values():
            os.close(file)
        self._open.clear()

    @property
    def known(self) -> bool:
        """Whether the system tells."""
        return len(self._samples) > 1

    def read(self, now: float) -> None:
        """Take a sample."""
        with contextlib.suppress(OSError, ValueError, IndexError, AttributeError, psutil.Error):
            if now - self._looked >= LOOK_EVERY:
                self._looked = now
                self._look()
            self._samples.append(self._sample(now))
        if len(self._samples) >= 2 * KEPT:
            del self._samples[:KEPT]

    def between(self, begin: float, end: float) -> Waiting:
        """What it waited in a span that is not long ago."""
        around = [one for one in self._samples if begin <= one.at <= end]
        if len(around) < 2:
            return Waiting()
        first, last = around[0], around[-1]
        return Waiting(
            max(min(last.ready - first.ready, last.foreign - first.foreign), 0.0),
            last.steal - first.steal,
            last.throttled - first.throttled,
        )

    def within(self, begin: Floats, end: Floats) -> Floats:
        """At most so many seconds in each of the spans; begins and ends may be of shapes that broadcast."""
        if not self.known or not (begin.size and end.size):
            return np.zeros(1)
        around = self._around(float(begin.min()), float(end.max()))
        at, ready, foreign, steal, throttled = np.array(around).T
        first = np.maximum(np.searchsorted(at, begin, "right") - 1, 0)
        last = np.minimum(np.searchsorted(at, end, "left"), len(at) - 1)
        taken = steal + throttled
        waited: Floats = np.minimum(ready[last] - ready[first], foreign[last] - foreign[first])
        waited = np.maximum(waited, 0.0) + (taken[last] - taken[first])
        return np.minimum(waited, np.maximum(end - begin, 0.0))

    def _around(self, begin: float, end: float) -> list[_Sample]:
        """The samples of a span, and one before and after it if there are any."""
        samples = self._samples
        last = min(bisect_left(samples, end, key=_at), len(samples) - 1)
        first = max(bisect_right(samples, begin, key=_at) - 1, 0)
        return samples[min(first, last) : last + 1]

    def _look(self) -> None:
        """Find its threads, its cores and its control group; looking is dearer than reading."""
        for pid in with_children(self._pid):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for thread in (PROC / str(pid) / "task").iterdir():
                    self._threads.setdefault(str(thread / "schedstat"), (0, 0))
        self._cores = {b"cpu%d" % core for core in os.sched_getaffinity(self._pid)}
        self._group = _quota_of(self._pid)

    def _sample(self, now: float) -> _Sample:
        for file in list(self._threads):
            told = self._contents(file).split()
            if told:  # a thread that has ended stays as it was
                self._threads[file] = int(told[0]), int(told[1])
        own, ready = (sum(column) / 1e9 for column in zip(*self._threads.values(), strict=True))
        busy, steal = _of_cores(self._contents(str(PROC / "stat")), self._cores)
        throttled = _throttled(self._contents(self._group)) if self._group else 0.0
        return _Sample(now, ready, busy - steal - own, steal, throttled)

    def _contents(self, path: str) -> bytes:
        """Of a small file of the kernel; empty when its thread has ended."""
        file = self._open.get(path, -1)
        try:
            if file < 0:
                file = self._open[path] = os.open(path, os.O_RDONLY)
            return os.pread(file, 1 << 16, 0)
        except OSError:
            if file >= 0:
                os.close(self._open.pop(path))
            return b""


def _at(sample: _Sample) -> float:
    return sample.at


def _of_cores(stat: bytes, cores: set[bytes]) -> tuple[float, float]:
    """Busy and stolen seconds of these cores so far."""
    busy = steal = 0
    for line in stat.splitlines():
        if not line.startswith(b"cpu"):
            break
        columns = line.split()
        if columns[0] in cores:
            ticks = list(map(int, columns[1:]))
            busy += sum(ticks[one] for one in _BUSY)
            steal += ticks[_STEAL]
    return busy / _HERTZ, steal / _HERTZ


def _quota_of(pid: int) -> str:
    """The file in which the control group of the process counts how long it was throttled; empty without one."""
    for line in (PROC / str(pid) / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            file = CGROUPS / ("cpu" if controllers else "") / path.lstrip("/") / "cpu.stat"
            if file.is_file():
                return str(file)
    return ""


def _throttled(told: bytes) -> float:
    """Seconds in which the group had used up its quota, in either version of control groups."""
    words = told.split()
    by_name = dict(zip(words[::2], words[1::2], strict=False))
    return int(by_name.get(b"throttled_usec", 0)) / 1e6 + int(by_name.get(b"throttled_time", 0)) / 1e9
