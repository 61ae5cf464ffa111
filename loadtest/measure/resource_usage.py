"""What the service under test takes of its machine: CPU and memory, by its process id or from its `/metrics`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import psutil

from loadtest.measure.process_children import with_children
from loadtest.target import http_api


@dataclass(frozen=True, slots=True)
class ResourceReading:
    """CPU seconds so far, resident bytes, and whether the process runs at all (a stopped one does not)."""

    cpu: float
    memory: int
    runs: bool = True


def of_process(pid: int) -> ResourceReading | None:
    """The process with its children, as the operating system sees them; None where there is no such process."""
    try:
        root = psutil.Process(pid)
        cpu, memory = 0.0, 0
        for process in (root, *map(psutil.Process, with_children(pid)[1:])):
            times = process.cpu_times()
            cpu += times.user + times.system
            memory += process.memory_info().rss
        return ResourceReading(cpu, memory, runs=root.status() != psutil.STATUS_STOPPED)
    except psutil.Error:
        return None


def of_metrics(url: str) -> ResourceReading | None:
    """What the service behind the address says of all its workers; None where it says nothing."""
    try:
        value = http_api.metrics(url).value
        return ResourceReading(value("process_cpu_seconds_total"), int(value("process_resident_memory_bytes")))
    except (http_api.Unreachable, KeyError):
        return None


@dataclass(slots=True)
class Meter:
    """One address, read again and again: shares of a core between readings, and totals between two moments."""

    url: str
    pid: int | None = None
    runs: bool = True
    _last: tuple[float, ResourceReading] | None = None
    _total: dict[str, Any] = field(default_factory=lambda: {"cpuSeconds": 0.0, "seconds": 0.0, "memory": []})

    def read(self, now: float, *, measured: bool) -> dict[str, float] | None:
        """The share of a core since the last reading and the memory now; adds to the total what is `measured`."""
        reading = of_metrics(self.url) if self.pid is None else of_process(self.pid)
        before, self._last = self._last, None if reading is None else (now, reading)
        if reading is None:
            return None
        self.runs = reading.runs
        if before is None or now <= before[0] or reading.cpu < before[1].cpu:
            return None  # the first one, or another process behind the same address
        used, took = reading.cpu - before[1].cpu, now - before[0]
        if measured:
            self._total["cpuSeconds"] += used
            self._total["seconds"] += took
            self._total["memory"].append(reading.memory)
        return {"cpu": round(used / took, 4), "memory": reading.memory}

    @property
    def total(self) -> dict[str, Any]:
        """CPU seconds used in so many seconds, and the memory second by second, as in `Tally.service`."""
        return self._total
