"""What goes wrong: a schedule drawn from a seed, and the hands that carry it out.

Each fault is repaired within a bound, and then all workers have to come back in step. Two rules keep to
what design.md §4 calls limits: data are lost, and workers are killed or restarted, only while Redis is up,
every worker is in step, and no answer of the worker to be killed waits for its durable one.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from chaos.proxy import Proxy
from chaos.swarm import Swarm
from chaos.timeline import Timeline
from chaos.workers import Worker, in_step
from redis.asyncio import Redis

from loadtest.target.processes import RedisServer

SAVE_EVERY = 4  # faults between two dumps that an older Redis may come back with
DUMPS = 5  # of them that are kept


class Kind(StrEnum):
    """What can go wrong."""

    STOP = "Redis stops and starts, same data"
    OLDER = "Redis killed, starts with older data"
    EMPTY = "Redis killed, starts empty"
    FLUSH = "FLUSHALL"
    FREEZE = "Redis frozen"
    KILL_NORMAL = "CLIENT KILL TYPE normal"
    KILL_PUBSUB = "CLIENT KILL TYPE pubsub"
    SCRIPT_FLUSH = "SCRIPT FLUSH"
    CUT = "connections reset"
    HOLD = "connections held"
    DELAY = "requests delivered late"
    HALF_OPEN = "connections half open"
    REFUSE = "connections refused"
    RESTART = "worker restarted"
    KILL_WORKER = "worker killed"


WEIGHTS = {
    Kind.STOP: 9, Kind.OLDER: 9, Kind.EMPTY: 9, Kind.FLUSH: 8, Kind.FREEZE: 16, Kind.KILL_NORMAL: 8,
    Kind.KILL_PUBSUB: 8, Kind.SCRIPT_FLUSH: 5, Kind.CUT: 8, Kind.HOLD: 6, Kind.DELAY: 10, Kind.HALF_OPEN: 8,
    Kind.REFUSE: 6, Kind.RESTART: 5, Kind.KILL_WORKER: 5,
}  # fmt: skip
LOSES_DATA = {Kind.OLDER, Kind.EMPTY, Kind.FLUSH}
OF_A_WORKER = {Kind.RESTART, Kind.KILL_WORKER}
NEEDS_STEP = LOSES_DATA | OF_A_WORKER
ON_THE_WAY = {Kind.CUT, Kind.HOLD, Kind.DELAY, Kind.HALF_OPEN, Kind.REFUSE}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong: how long, to whom (None: to all), and what follows."""

    kind: Kind
    seconds: float
    worker: int | None
    to_redis: bool  # the direction of a half-open connection
    pause: float  # healthy seconds after it
    at_once: bool  # the next fault comes before the workers are back in step

    def __str__(self) -> str:
        whom = "" if self.worker is None else f", worker {self.worker}"
        then = "the next at once" if self.at_once else f"then {self.pause:.2f} s"
        return f"{self.kind}{whom}, {self.seconds:.2f} s, {then}"


def schedule(seed: int, count: int, workers: int) -> Iterator[Fault]:
    """The faults of a seed: one of each kind first, in random order, then by weight."""
    rng = random.Random(f"faults {seed}")
    kinds = list(Kind)
    rng.shuffle(kinds)
    kinds += rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=max(count - len(kinds), 0))
    for kind in kinds[:count]:
        short = rng.random() ** 4  # mostly
        seconds = 0.1 + (4.9 if kind is Kind.FREEZE else 1.9) * short
        alone = kind in OF_A_WORKER or (kind in ON_THE_WAY and rng.random() < 0.6)
        yield Fault(
            kind=kind,
            seconds=seconds,
            worker=rng.randrange(workers) if alone else None,
            to_redis=rng.random() < 0.5,
            pause=rng.uniform(0.05, 1.0),
            at_once=rng.random() < 0.25,
        )


class Hands:
    """Do what the schedule says, to real processes."""

    def __init__(
        self,
        *,
        redis: RedisServer,
        folder: Path,
        workers: Sequence[Worker],
        swarm: Swarm,
        timeline: Timeline,
        seed: int,
        strict: bool,
        limit: float,
    ) -> None:
        self.redis = redis
        self.workers = workers
        self.swarm = swarm
        self.timeline = timeline
        self.recovery: dict[Kind, list[float]] = defaultdict(list)  # seconds from the repair to being in step
        self.counts: dict[Kind, int] = defaultdict(int)
        self.killed_soft = 0  # answers that were not durable when their worker was killed
        self.killed_degraded = 0  # of them, those of a worker that said it was degraded
        self._rng = random.Random(f"hands {seed}")
        self._strict = strict  # workers that do not come back in step are a finding
        self._limit = limit  # seconds until they have to be
        self._dump = folder / "dump.rdb"
        self._dumps: list[Path] = []
        self._rough: list[int] = []
        self._acts: dict[Kind, Callable[[Fault], Awaitable[None]]] = {
            Kind.STOP: self._stop,
            Kind.OLDER: self._come_back_older,
            Kind.EMPTY: self._come_back_empty,
            Kind.FLUSH: lambda _: self._lose(self._ask("FLUSHALL")),
            Kind.FREEZE: self._freeze,
            Kind.KILL_NORMAL: lambda _: self._ask("CLIENT KILL", "TYPE", "normal"),
            Kind.KILL_PUBSUB: lambda _: self._ask("CLIENT KILL", "TYPE", "pubsub"),
            Kind.SCRIPT_FLUSH: lambda _: self._ask("SCRIPT FLUSH"),
            Kind.CUT: self._cut,
            Kind.HOLD: lambda fault: self._on_the_way(fault, lambda proxy: proxy.hold(fault.seconds)),
            Kind.DELAY: lambda fault: self._on_the_way(fault, lambda proxy: proxy.delay(0.5 + fault.seconds)),
            Kind.HALF_OPEN: self._half_open,
            Kind.REFUSE: lambda fault: self._on_the_way(fault, lambda proxy: proxy.refuse(fault.seconds)),
            Kind.RESTART: self._restart,
            Kind.KILL_WORKER: self._kill_worker,
        }

    async def play(self, fault: Fault) -> None:
        """Let it go wrong, repair it, and wait until it is forgotten."""
        if fault.kind in NEEDS_STEP:
            await self._back_in_step(None)
        if sum(self.counts.values()) % SAVE_EVERY == 0:
            await self._save()
        self.counts[fault.kind] += 1
        self._rough.append(self.timeline.begin_rough(fault.worker, time.monotonic()))
        left = None
        if fault.kind in LOSES_DATA:
            left = (await self.workers[0].state()).epoch
            self.swarm.data_lost()
        await self._acts[fault.kind](fault)
        if fault.at_once and fault.kind not in NEEDS_STEP:
            await asyncio.sleep(fault.pause / 4)
        else:
            await self._back_in_step(fault.kind, left)
            await asyncio.sleep(fault.pause)

    async def _back_in_step(self, after: Kind | None, left: str | None = None) -> None:
        began = time.monotonic()
        took = await in_step(self.workers, self._limit, left=left)
        if took is None:
            if self._strict:
                self.swarm.findings.add(
                    "not in step", str(after), f"{self._limit:g} s after: {after or 'several faults'}"
                )
            return
        if after is not None:
            self.recovery[after].append(took)
        for ticket in self._rough:
            self.timeline.end_rough(ticket, time.monotonic())
        self._rough.clear()
        for worker in self.workers:
            self.swarm.hardened(worker.life, began)

    # Redis

    async def _stop(self, fault: Fault) -> None:
        with self.timeline.redis_away():
            await asyncio.to_thread(self.redis.stop, save=True)
            await self._refuse(fault.seconds)
            await asyncio.to_thread(self.redis.start)

    async def _come_back_older(self, fault: Fault) -> None:
        await self._killed(fault, lambda: shutil.copyfile(self._rng.choice(self._dumps), self._dump))

    async def _come_back_empty(self, fault: Fault) -> None:
        await self._killed(fault, lambda: self._dump.unlink(missing_ok=True))

    async def _killed(self, fault: Fault, change_data: Callable[[], object]) -> None:
        with self.timeline.redis_away():
            await self._lose(asyncio.to_thread(self.redis.kill))
            await self._refuse(fault.seconds)
            change_data()
            await asyncio.to_thread(self.redis.start)

    async def _freeze(self, fault: Fault) -> None:
        with self.timeline.redis_away():
            self.redis.freeze()
            try:
                await asyncio.sleep(fault.seconds)
            finally:
                self.redis.thaw()

    async def _lose(self, act: Awaitable[object]) -> None:
        await act
        # What was sent while the data were being lost may be lost as well.
        self.swarm.data_lost()

    async def _save(self) -> None:
        """Keep the data of this moment, to come back with later."""
        await self._ask("SAVE")
        copy = self._dump.with_name(f"older-{sum(self.counts.values())}.rdb")
        shutil.copyfile(self._dump, copy)
        self._dumps.append(copy)
        if len(self._dumps) > DUMPS:
            self._dumps.pop(0).unlink()

    async def _refuse(self, seconds: float) -> None:
        """Where Redis is gone nobody listens, at the proxies neither."""
        await asyncio.gather(*(worker.proxy.refuse(seconds) for worker in self.workers))

    async def _ask(self, *command: str) -> Any:
        """Say something to Redis itself, past the proxies."""
        async with Redis.from_url(self.redis.url, socket_timeout=10) as client:
            return await client.execute_command(*command)

    # The way to Redis

    async def _cut(self, fault: Fault) -> None:
        for proxy in self._proxies(fault):
            proxy.cut()

    async def _half_open(self, fault: Fault) -> None:
        direction = "to redis" if fault.to_redis else "from redis"
        await self._on_the_way(fault, lambda proxy: proxy.half_open(fault.seconds, direction))

    async def _on_the_way(self, fault: Fault, act: Callable[[Proxy], Awaitable[None]]) -> None:
        await asyncio.gather(*(act(proxy) for proxy in self._proxies(fault)))

    def _proxies(self, fault: Fault) -> list[Proxy]:
        return [worker.proxy for worker in self.workers if fault.worker in {None, worker.number}]

    # Workers

    async def _restart(self, fault: Fault) -> None:
        worker = self._worker(fault)
        status = await worker.stop()
        if status not in {0, -15, 143}:
            self.swarm.findings.add("exit status", str(worker.number), f"worker {worker.number} ended with {status}")
        await worker.start()

    async def _kill_worker(self, fault: Fault) -> None:
        worker = self._worker(fault)
        end = time.monotonic() + 3
        while self.swarm.soft[worker.life] and time.monotonic() < end:
            await asyncio.sleep(0.01)
        # What it answers until it is dead counts as well, so look before and after.
        soft = list(self.swarm.soft[worker.life])
        degraded = worker.degraded
        await worker.kill()
        soft = [op for op in {*soft, *self.swarm.soft[worker.life]} if op.durable_at is None]
        self.killed_soft += len(soft)
        if degraded:
            self.killed_degraded += len(soft)
            self.swarm.excused.update(soft)
        await worker.start()

    def _worker(self, fault: Fault) -> Worker:
        assert fault.worker is not None
        return self.workers[fault.worker]
