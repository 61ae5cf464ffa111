from __future__ import annotations

import asyncio
import os
import time

import pytest

from loadtest.measure import resource_usage
from loadtest.measure.resource_usage import Meter, ResourceReading


async def test_a_process_is_the_same_from_outside_and_inside(service) -> None:
    """What the operating system says of a service is what its own `/metrics` says."""
    outside = resource_usage.of_process(service.pid)
    inside = await asyncio.to_thread(resource_usage.of_metrics, service.url)
    assert outside is not None
    assert inside is not None
    assert inside.cpu == pytest.approx(outside.cpu, abs=0.1)
    assert inside.memory == pytest.approx(outside.memory, rel=0.2)
    assert outside.runs


def test_who_says_nothing_has_no_usage(other_server, nobody) -> None:
    """Another server, an address where nobody listens, and a process that is gone have no figures."""
    assert resource_usage.of_metrics(other_server) is None
    assert resource_usage.of_metrics(nobody) is None
    assert resource_usage.of_process(2**22 + 1) is None


def test_a_meter_counts_what_is_measured(monkeypatch) -> None:
    """Shares are between readings, totals are of measured ones, and another process behind the address begins anew."""
    readings = iter(
        [
            ResourceReading(1.0, 10),
            ResourceReading(1.5, 20),
            ResourceReading(1.6, 30),
            ResourceReading(0.2, 5),
            ResourceReading(0.3, 6),
            None,
        ]
    )
    monkeypatch.setattr(resource_usage, "of_process", lambda _pid: next(readings))
    meter = Meter("http://x", pid=1)
    told = [meter.read(float(at), measured=at > 1) for at in range(6)]
    assert told == [
        None, {"cpu": 0.5, "memory": 20}, {"cpu": 0.1, "memory": 30}, None, {"cpu": 0.1, "memory": 6}, None,
    ]  # fmt: skip
    assert meter.total == {"cpuSeconds": pytest.approx(0.2), "seconds": 2.0, "memory": [30, 6]}


def test_work_shows(monkeypatch) -> None:
    """A process that works takes a share of a core."""
    meter = Meter("http://x", pid=os.getpid())
    meter.read(time.monotonic(), measured=True)
    ends = time.process_time() + 0.2
    while time.process_time() < ends:
        pass
    load = meter.read(time.monotonic(), measured=True)
    assert load is not None
    assert load["cpu"] > 0.1
