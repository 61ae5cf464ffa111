"""Verdicts on slow services, by slow generators, beside busy neighbours, against what the packets say is true.

The truth of a service is a capture of the packets of the same schedule, played just before by a generator that has all
its time, beside nobody. Gates lie a fifth away from it, to either side.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import psutil
import pytest
from ruler.conftest import REPOSITORY, Result
from ruler.test_proofs import shape

from loadtest.judge.gates import Gate, Verdict, judge

pytestmark = [pytest.mark.starts_process, pytest.mark.timeout(200)]

DELAY = 0.050  # seconds, of a slow service
SHARE = 0.4  # of its time, that a slow generator gets
CORE = min(os.sched_getaffinity(0))  # of the service; everything else has the others
OTHERS = sorted({*os.sched_getaffinity(0)} - {CORE}) or [CORE]
COMBINATIONS = list(product((False, True), repeat=4))  # slow service, slow generator, neighbour, tight gate
CASES = random.Random(15).sample(COMBINATIONS * 3, 40)
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (REPOSITORY / "tests", REPOSITORY)))}


@asynccontextmanager
async def program(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Python program that runs while this lasts, and ends with its input."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=ENVIRONMENT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()


BUSY = f"import os\nos.sched_setaffinity(0, {{{CORE}}})\nwhile True: pass"


@asynccontextmanager
async def neighbour() -> AsyncIterator[None]:
    """A busy loop on the service's core."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", BUSY)
    try:
        yield
    finally:
        process.kill()
        await process.wait()


@dataclass(frozen=True)
class Stage:
    """A service on a core of its own, and what plays against it."""

    url: str
    pid: int
    start_run: Callable[..., Awaitable[object]]
    witness: Callable[..., Awaitable[object]]

    async def play(self, seed: int, gate: str, *, slow_generator: bool = False, busy: bool = False) -> Result:
        """One run; its generator gets a part of its time, and the service's core a neighbour."""
        async with AsyncExitStack() as around:
            if busy:
                await around.enter_async_context(neighbour())
            options = shape(60, 60, 4, seed=seed, gate=gate, **{"service-pid": self.pid})
            run = await self.start_run(self.url, *options)
            await run.says("connect ")
            (swarm,) = psutil.Process(run.process.pid).children()
            swarm.cpu_affinity(OTHERS)
            if slow_generator:
                await around.enter_async_context(program("-m", "ruler.throttle", str(swarm.pid), str(SHARE)))
            return await run.end()

    async def truth(self, seed: int) -> float:
        """The p99 by the packets, with a whole generator and no neighbour."""
        packets = await self.witness(self.url)
        result = await self.play(seed, "lost==0")
        latencies = (await packets.end()).latencies(*result.measured)
        return float(np.percentile(latencies, 99, method="inverted_cdf"))


@pytest.fixture
async def stage(start_run, witness) -> AsyncIterator[Callable[..., Awaitable[Stage]]]:
    """Make a stage; the service of a slow one says everything 50 ms late."""
    os.sched_setaffinity(0, OTHERS)
    async with AsyncExitStack() as running:

        async def make(*, slow: bool) -> Stage:
            command = ("-m", "ruler.slow_service", str(CORE), str(DELAY if slow else 0.0))
            service = await running.enter_async_context(program(*command))
            assert service.stdout is not None
            url = (await service.stdout.readline()).decode().strip()
            return Stage(url, service.pid, start_run, witness)

        yield make
    os.sched_setaffinity(0, {CORE, *OTHERS})


def old_rule(result: Result) -> str:
    """What the rule said that this one replaced: a lag above 5 ms and a fifth of the latency is INVALID."""
    lag, late = result.metrics["lag_p99"], result.metrics["latency_p99"]
    busy = [share > 0.8 for shares in result.totals["busy"].values() for share in shares]
    in_a_row = any(one and two for one, two in pairwise(busy))
    refused = lag > max(0.005, 0.2 * late) or in_a_row or sum(busy) > 0.02 * len(busy)
    return "old rule INVALID" if refused else "old rule judges"


def told(result: Result) -> str:
    lower, upper = result.lower["latency_p99"] * 1e3, result.metrics["latency_p99"] * 1e3
    return f"band {lower:6.1f}–{upper:6.1f} {result.verdict:<8} {old_rule(result)}"


async def test_a_generator_with_two_fifths_of_its_time_spoils_no_run(stage, found) -> None:
    """With room in the gate it is PASS, close to the truth never FAIL, and between its own bounds INVALID."""
    made = await stage(slow=False)
    true = await made.truth(1)
    roomy = await made.play(1, "latency_p99<250ms", slow_generator=True)
    close = await made.play(1, f"latency_p99<{true * 1.05 * 1e3:.2f}ms", slow_generator=True)
    for name, result in (("250 ms", roomy), ("truth + 5 %", close)):
        found(f"(c) truth {true * 1e3:.1f}, two fifths of the time, gate {name}: {told(result)}")
    assert roomy.verdict == "PASS", roomy.last["reasons"]
    assert close.verdict in {"PASS", "INVALID"}, close.last["reasons"]
    between = (roomy.lower["latency_p99"] + roomy.metrics["latency_p99"]) / 2
    gate = Gate("latency_p99", "<", between, f"latency_p99<{between * 1e3:.2f}ms")
    judgement = judge(roomy.metrics, [gate], wrong=[], lower=roomy.lower)
    assert judgement.verdict is Verdict.INVALID, judgement


async def test_a_starved_service_is_not_blamed(stage, found) -> None:
    """Beside a busy loop on its core it is PASS or INVALID under a gate that it holds without."""
    made = await stage(slow=False)
    true = await made.truth(2)
    result = await made.play(2, f"latency_p99<{true * 1.2 * 1e3:.2f}ms", busy=True)
    found(f"(n) truth {true * 1e3:.1f}, a neighbour, gate + 20 %: {told(result)}; {result.totals['waited']}")
    assert result.verdict in {"PASS", "INVALID"}, result.last["reasons"]


@pytest.mark.parametrize(
    ("disturbed", "allowed"),
    [({}, {"FAIL"}), ({"slow_generator": True}, {"FAIL"}), ({"busy": True}, {"FAIL", "INVALID"})],
    ids=["nothing", "slow generator", "neighbour"],
)
async def test_a_slow_service_fails(stage, found, disturbed: dict[str, bool], allowed: set[str]) -> None:
    """50 ms late, under a gate 25 ms below its own latency, which it holds when it is not slow: never PASS."""
    gate = f"latency_p99<{(await (await stage(slow=True)).truth(3) - DELAY / 2) * 1e3:.2f}ms"
    quick = await (await stage(slow=False)).play(3, gate)
    assert quick.verdict == "PASS", quick.last["reasons"]
    result = await (await stage(slow=True)).play(3, gate, **disturbed)
    found(f"(s) {gate}, {', '.join(disturbed) or 'nothing'}: {told(result)}")
    assert result.verdict in allowed, result.last["reasons"]


@pytest.mark.parametrize("number", range(len(CASES)))
async def test_no_verdict_is_wrong(stage, found, number: int) -> None:
    """Never PASS with the gate below the truth, never FAIL above it, INVALID only where something was amiss."""
    slow, slow_generator, busy, tight = CASES[number]
    made = await stage(slow=slow)
    true = await made.truth(100 + number)
    bound = true * (0.8 if tight else 1.25)
    gate = f"latency_p99<{bound * 1e3:.2f}ms"
    result = await made.play(100 + number, gate, slow_generator=slow_generator, busy=busy)
    named = {"slow service": slow, "slow generator": slow_generator, "neighbour": busy}
    amiss = ", ".join(name for name, there in named.items() if there) or "nothing"
    found(f"(v) {number:>2} {amiss:<40} truth {true * 1e3:6.1f} gate {bound * 1e3:6.1f} {told(result)}")
    assert result.verdict != ("PASS" if tight else "FAIL"), result.last["reasons"]
    if not slow_generator and not busy:
        assert result.verdict != "INVALID", result.last["reasons"]
