"""Waiting for a CPU because of others, of real processes on one core."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from loadtest.measure.cpu_waiting import CpuWaiting, Waiting, in_words

pytestmark = pytest.mark.starts_process
SPIN = "while True: pass"
TWO_WORKERS = f"""
parent = os.getpid()
if os.fork() == 0:
    while os.getppid() == parent: pass
else:
    {SPIN}
"""

if not Path("/proc/self/schedstat").exists():
    pytest.skip("NOT RUN: waiting for a CPU – this system does not tell", allow_module_level=True)


@pytest.fixture
def on_one_core() -> Iterator[Callable[[str], int]]:
    """Start programs that all have the same single core; they end with the test."""
    core = min(os.sched_getaffinity(0))
    running: list[subprocess.Popen[bytes]] = []

    def start(program: str) -> int:
        pin = f"import os\nos.sched_setaffinity(0, {{{core}}})\n"
        running.append(subprocess.Popen([sys.executable, "-c", pin + program]))
        return running[-1].pid

    yield start
    for one in running:
        one.kill()
        one.wait()


def watch(pid: int, until: Callable[[Waiting, float], bool]) -> tuple[CpuWaiting, float, float]:
    """Sample the process until the condition holds of what it waited in so many seconds; return it and the span."""
    process, began = CpuWaiting(pid), time.monotonic()
    process.read(began)
    while True:
        time.sleep(0.05)  # between two samples
        now = time.monotonic()
        process.read(now)
        if until(process.between(began, now), now - began):
            return process, began, now
        assert now - began < 30, process.between(began, now)


def test_a_neighbour_on_its_core_is_seen(on_one_core) -> None:
    """Of two that never stop, each waits for the other, and a span within holds no more than itself."""
    pid = on_one_core(SPIN)
    on_one_core(SPIN)
    process, began, now = watch(pid, lambda waited, _: waited.neighbours > 0.4)
    spans = process.within(np.array([began, began + 0.1]), np.array([now, began + 0.11]))
    assert spans[0] >= 0.4
    assert 0 <= spans[1] <= 0.01 + 1e-9
    # A span whose end is unknown, which is 0, or that was never sent, is none; one from before is cut off.
    assert process.within(np.array([now]), np.array([0.0])).tolist() == [0.0]
    assert process.within(np.array([np.inf]), np.array([0.0])).tolist() == [0.0]
    assert process.within(np.array([0.0]), np.array([began])).tolist() == [0.0]
    process.close()


def used(pid: int) -> tuple[float, float]:
    """CPU seconds of its core so far, and of the process with its child."""
    process = psutil.Process(pid)
    times = psutil.cpu_times(percpu=True)[min(os.sched_getaffinity(0))]
    own = sum(sum(one.cpu_times()[:2]) for one in (process, *process.children()))
    return sum(times) - times.idle - times.iowait, own


def test_waiting_for_its_own_workers_is_its_own(on_one_core) -> None:
    """Two processes of a service wait for each other; only what others used on their core meanwhile is their doing."""
    pid = on_one_core(TWO_WORKERS)
    process, began = CpuWaiting(pid), time.monotonic()

    def sample() -> float:
        time.sleep(0.05)  # between two samples
        now = time.monotonic()
        process.read(now)
        assert now - began < 30
        return now

    while len(process._threads) < 2:  # processes are looked for once a second
        since = sample()
    core, own = used(pid)
    first = process._samples[-1]
    while process._samples[-1].ready - first.ready < 0.5:
        now = sample()
    core_now, own_now = used(pid)
    others = (core_now - core) - (own_now - own)
    assert process.between(since, now).neighbours <= max(others, 0.0) + 0.1  # clocks of a hundredth of a second
    process.close()


def test_a_process_that_is_not_there_is_not_known() -> None:
    """Nothing is told of it, and nothing is relieved."""
    process = CpuWaiting(2**22 - 1)
    for now in (1.0, 2.0, 3.0):
        process.read(now)
    assert not process.known
    assert process.within(np.array([1.0]), np.array([2.0])).tolist() == [0.0]
    assert process.between(1.0, 3.0).total == 0


def test_what_was_waited_is_told_by_its_kind() -> None:
    """Only kinds that there were, of how many seconds."""
    assert in_words({"service": {"seconds": 5.0, "neighbours": 0.41, "steal": 0.0, "throttled": 1.5}}) == {
        "service": "0.41 s (neighbours), 1.50 s (throttled) of 5.0 s"
    }
    assert in_words({"generator 0": {"seconds": 5.0}}) == {"generator 0": "0 s of 5.0 s"}
