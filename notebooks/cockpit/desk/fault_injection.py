"""Injects faults into the service of one run, and times their detection and recovery."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from cockpit.desk.service_under_test import MOST_STALLED, ServiceUnderTest, stalled
from cockpit.runs.fault_timings import Fault, FaultKind, Faults
from cockpit.runs.load_run import LoadRun
from cockpit.ui.plurals import noun

POLL_TIME = 0.1  # seconds between two observations of a service with an open fault
STALLED_FOR = 20.0  # seconds at most; the service ends stalled readers after five
ONE_IN = 20  # players for each stalled reader


class FaultInjection:
    """The faults of one run. `mark(at, text)` is called for each thing done, `changed` when a fault has changed."""

    def __init__(
        self, target: ServiceUnderTest, mark: Callable[[float, str], None], changed: Callable[[], None]
    ) -> None:
        self._target = target
        self._faults = Faults()
        self._mark = mark
        self._changed = changed

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults so far, oldest first."""
        return self._faults.all

    async def observe(self) -> None:
        """Observe the service while a fault is open, until cancelled."""
        while True:
            if self._faults.open:
                problem = await self._target.problem()
                self._faults.observe(time.time(), problem)
                self._changed()
            await asyncio.sleep(POLL_TIME)

    async def switch_redis(self) -> None:
        """Stop Redis, or start it again, empty; raises `RuntimeError` in memory."""
        redis = self._target.redis
        if redis is None:
            raise RuntimeError("this swarm plays in memory: choose Redis before it starts")
        if redis.alive:
            self._begin("Redis stopped", FaultKind.REDIS_STOPPED)
            await redis.switch_off()
        else:
            self._mark(time.time(), "Redis started")
            await redis.switch_on()
            self._faults.mend(FaultKind.REDIS_STOPPED, time.time())
        self._changed()

    async def freeze(self) -> None:
        """Stop all processes of the service for a second."""
        self._begin("service frozen for 1 s", FaultKind.SERVICE_FROZEN)
        try:
            await self._target.freeze()
        finally:
            self._faults.mend(FaultKind.SERVICE_FROZEN, time.time())

    def kill_worker(self) -> None:
        """Kill one of several workers with SIGKILL; its supervisor starts another."""
        self._target.kill_worker()
        self._begin("a worker killed")

    async def stall_readers(self, run: LoadRun) -> None:
        """Add one reader that stops reading for each twenty players of `run`, until the service ends them.

        Raises `RuntimeError` before `run` has begun.
        """
        if "session" not in run.progress.facts:
            raise RuntimeError("the players are still connecting: wait until the swarm has begun")
        count = min(max((run.spec.players or 0) // ONE_IN, 1), MOST_STALLED)
        fault = Fault(f"{count} {noun(count, 'reader')} stalled", time.time())
        async with stalled(self._target.service.ws_url, run.progress.facts["session"], count) as connected:
            self._faults.add(fault)
            self._mark(fault.at, fault.name)
            ends = time.monotonic() + STALLED_FOR
            while (left := connected()) and time.monotonic() < ends and self._target.service.alive:
                if left < count and fault.detected_at is None:
                    fault.detected_at, fault.seen_as = time.time(), "the service ended the first of them"
                    self._changed()
                await asyncio.sleep(POLL_TIME)
            if not left and fault.detected_at is None:
                fault.detected_at, fault.seen_as = time.time(), "the service ended them"
            fault.mended_at, fault.recovered_at = fault.at, time.time()
        self._changed()

    def _begin(self, name: str, kind: FaultKind | None = None) -> None:
        self._mark(self._faults.begin(name, time.time(), kind=kind).at, name)
