"""A run: players for minutes, samples of what the service and its Redis hold, and whether any of it grows."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import redis
from soak.players import Crowd
from soak.slope import Slope, slope
from watched_service import MEGABYTE, WatchedService, descriptors, resident

from loadtest.target.processes import RedisServer

PROBE = Path(__file__).parent / "probe"
SAMPLES = 720  # of a run, but at most ten a second
SAY_EVERY = 30.0  # seconds
OP_ID_MINUTES = 10  # for which op ids are kept at most
SPARE = 10  # descriptors that may come and go
SHARE_OF_RATE = 0.8  # of the updates that are wanted; players pause between their visits
ENDS_WITHIN = 60.0  # seconds until sessions without players are gone from Redis
SESSION_TTL = 5  # seconds
TELLS_WITHIN = 60.0  # seconds; a snapshot of all allocations takes one or two

Say = Callable[[str], None]


@dataclass
class Samples:
    """(seconds since the start, value) by figure."""

    by_name: defaultdict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, at: float, **values: float) -> None:
        """Note what was measured at one moment."""
        for name, value in values.items():
            self.by_name[name].append((at, value))

    def since(self, start: float) -> dict[str, list[tuple[float, float]]]:
        """Those from a moment on."""
        return {name: [one for one in many if one[0] >= start] for name, many in self.by_name.items()}


class Run:
    """One soak."""

    def __init__(self, options: argparse.Namespace, say: Say) -> None:
        self._options = options
        self._say = say
        self._samples = Samples()
        self._folder = ""
        self._redis: RedisServer | None = None

    async def play(self) -> list[str]:
        """Play; return what was wrong."""
        with ExitStack() as stack:
            self._folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-"))
            arguments = ["--session-ttl", str(SESSION_TTL)]
            if self._options.workers > 1:
                self._redis = await asyncio.to_thread(stack.enter_context, RedisServer())
                arguments += ["--redis-url", self._redis.url, "--workers", str(self._options.workers)]
            service = await asyncio.to_thread(WatchedService, arguments, environment=self._environment())
            stack.callback(service.stop)
            crowd = await self._soak(service)
            faults = [*self._verdict(crowd), *(await self._what_redis_keeps())]
        # Its log is whole once it has ended.
        return [*faults, *service.faults()]

    def _environment(self) -> dict[str, str]:
        options = self._options
        path = {"PYTHONPATH": f"{PROBE}:{Path(__file__).parents[2]}"} if options.leak or options.trace else {}
        trace = {"SOAK_TRACE": self._folder} if options.trace else {}
        return path | trace | {"SOAK_LEAK": str(options.leak)}

    async def _soak(self, service: WatchedService) -> Crowd:
        options = self._options
        crowd = Crowd(service.ws_url, options.sessions, options.updates, options.op_ids)
        playing = asyncio.create_task(crowd.play(options.players, options.seed))
        began = said = time.monotonic()
        every = max(0.1, 60 * options.minutes / SAMPLES)
        while (at := time.monotonic() - began) < 60 * options.minutes and service.alive and not playing.done():
            self._sample(at, service)
            if at >= 60 * self._settled:
                Path(self._folder, "settled").touch()
            if time.monotonic() >= said + SAY_EVERY:
                said = time.monotonic()
                self._say(self._figures(at, crowd))
            await asyncio.sleep(every)
        crowd.counts["seconds"] = round(time.monotonic() - began)
        self._say(self._figures(at, crowd))
        if options.trace:
            await self._tell_what_grew()
        playing.cancel()
        with suppress(asyncio.CancelledError):
            await playing
        return crowd

    @property
    def _settled(self) -> float:
        """Minutes after which nothing may grow any more."""
        options = self._options
        return max(options.minutes / 4, OP_ID_MINUTES if options.op_ids and options.minutes > 20 else 0)

    async def _tell_what_grew(self) -> None:
        """Say which lines of the service hold more than when it had settled."""
        Path(self._folder, "over").touch()
        end = time.monotonic() + TELLS_WITHIN
        while not (found := list(Path(self._folder).glob("*.growth"))) and time.monotonic() < end:
            await asyncio.sleep(0.5)
        for file in found:
            self._say(f"  grew most since then, in process {file.stem}:\n{file.read_text('utf-8')}")

    def _sample(self, at: float, service: WatchedService) -> None:
        self._samples.add(at, memory=resident(service.pid), descriptors=descriptors(service.pid))
        if self._redis is not None:
            with redis.Redis.from_url(self._redis.url) as client:
                self._samples.add(at, redis=client.info("memory")["used_memory"] / MEGABYTE)
        if traced := [int(file.read_text()) for file in Path(self._folder).glob("*.traced")]:
            self._samples.add(at, traced=sum(traced) / MEGABYTE)

    def _figures(self, at: float, crowd: Crowd) -> str:
        last = {name: many[-1][1] for name, many in self._samples.by_name.items()}
        shown = ", ".join(f"{name} {value:.2f}" for name, value in last.items())
        return f"{at / 60:5.1f} min: {shown} (MB); {crowd.counts['updates'] / max(at, 1):.0f} updates/s, {crowd.counts}"

    def _verdict(self, crowd: Crowd) -> list[str]:
        options = self._options
        samples = self._samples.since(60 * self._settled)
        self._say(f"from minute {self._settled:g} on:")
        faults = []
        for name in [name for name in ("memory", "traced", "redis") if name in samples]:
            found = slope(samples[name])
            self._say(f"  {name}: {found} MB")
            faults += self._growth(name, found)
        early, late = _ends(samples.get("descriptors", []))
        self._say(f"  descriptors: {early:.0f} early, {late:.0f} late")
        if late > early + SPARE:
            faults.append(f"descriptors grow: from {early:.0f} to {late:.0f}")
        rate = crowd.counts["updates"] / max(crowd.counts["seconds"], 1)
        if rate < SHARE_OF_RATE * options.updates:
            wanted = SHARE_OF_RATE * options.updates
            faults.append(f"expected {wanted:g} updates a second at least, got {rate:.0f}: a busy machine?")
        return faults

    def _growth(self, name: str, found: Slope | None) -> list[str]:
        if found is None:
            return [f"{name}: expected samples for the whole time, got too few"]
        if found.high > self._options.bound:
            return [f"{name}: expected at most {self._options.bound:+g} MB an hour with 95 % confidence, got {found}"]
        return []

    async def _what_redis_keeps(self) -> list[str]:
        """Keys of sessions, which have no players any more."""
        if self._redis is None:
            return []
        with redis.Redis.from_url(self._redis.url) as client:
            end = time.monotonic() + ENDS_WITHIN
            while (keys := client.keys("leaderboard:*SOAK*")) and time.monotonic() < end:
                await asyncio.sleep(0.5)
        self._say(f"  keys of sessions in Redis after they ended: {len(keys)}")
        return [f"expected no key of a session in Redis, got {sorted(keys)[:5]}"] if keys else []


def _ends(samples: list[tuple[float, float]]) -> tuple[float, float]:
    """The means of the first third and of the last one."""
    values = [value for _, value in samples] or [0.0]
    third = max(1, len(values) // 3)
    return statistics.fmean(values[:third]), statistics.fmean(values[-third:])
