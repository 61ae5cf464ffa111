"""What Redis costs: the same players and updates over memory and over Redis, in turn.

Counted is the CPU time of the service's process. Redis runs on the other core, beside the
receivers; what it takes is told, not added.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from loadtest.bench.harness.cores_and_usage import Cores, Gauge
from loadtest.bench.harness.receiver_handle import ReceiverHandle
from loadtest.bench.harness.servers import Ours
from loadtest.bench.harness.statistics import ratios, spread_of
from loadtest.bench.measurements.crowd_and_churn import JOIN, SCORE
from loadtest.target import http_api
from loadtest.target.processes import RedisServer

PLAYERS, UPDATES = 200, 2000.0
WARM_UP = 2.0  # seconds
LEAST_RATIO = 0.5
MOST_CALLS = 0.2  # scripts called for an update

Say = Callable[[str], None]


def run(cores: Cores, say: Say, *, rounds: int, seconds: float) -> dict[str, Any]:
    """Two hundred players and two thousand updates a second over each store: updates for a second of CPU."""
    os.sched_setaffinity(0, {cores.clients})  # Redis inherits it
    trials: dict[str, list[dict[str, float]]] = {"memory": [], "redis": []}
    with RedisServer() as server:
        redis = Gauge(server.pid)
        for number in range(rounds):
            for name, arguments in (("memory", ()), ("redis", ("--redis-url", server.url))):
                one = _trial(cores, redis, seconds, *arguments)
                trials[name].append(one)
                say(
                    f"round {number + 1}  {name:<6} {one['per_cpu_second']:6.0f} updates for a second of CPU, "
                    f"{one['cpu']:.0%} of a core, {one['updates_per_second']:.0f} answered a second, "
                    f"{one['calls']:.3f} calls each, Redis {one['redis_cpu']:.0%}"
                )
    compared = ratios(
        [one["per_cpu_second"] for one in trials["redis"]], [one["per_cpu_second"] for one in trials["memory"]]
    )
    calls = spread_of([one["calls"] for one in trials["redis"]])
    return {
        "players": PLAYERS,
        "updates_per_second": UPDATES,
        "trials": trials,
        "redis_to_memory": compared,
        "bounds": [
            # Bounds are upper ones, so that the throughput is told as the cost that it is the inverse of.
            {"what": "CPU per update, Redis ÷ memory", "bound": 1 / LEAST_RATIO, "found": 1 / compared["median"]},
            {"what": "script calls per update", "bound": MOST_CALLS, "found": calls["median"]},
        ],
    }


def _trial(cores: Cores, redis: Gauge, seconds: float, *arguments: str) -> dict[str, float]:
    service = Ours(cores.server, *arguments)
    try:
        with ReceiverHandle(cores) as audience:
            audience.ask("target", **service.target | {"hello": [JOIN]})
            audience.connect(PLAYERS)
            audience.play(SCORE, UPDATES, stop=PLAYERS)
            time.sleep(WARM_UP)
            before = _counts(service.url)
            redis_cpu = redis.cpu_seconds()
            seen = audience.watch(seconds, server=service.gauge)
            redis_cpu = redis.cpu_seconds() - redis_cpu
            updates, batches = (after - was for after, was in zip(_counts(service.url), before, strict=True))
    finally:
        service.stop()
    return {
        "per_cpu_second": updates / seen["server_cpu"],
        "updates_per_second": updates / seen["seconds"],
        "cpu": seen["server_cpu"] / seen["seconds"],
        "calls": batches / updates,
        "redis_cpu": redis_cpu / seen["seconds"],
    }


def _counts(url: str) -> tuple[float, float]:
    """Updates answered and batches sent so far."""
    value = http_api.metrics(url).value
    return value("leaderboard_updates_answered_total"), value("leaderboard_redis_batches_total")
