"""The whole service under a crowd: a thousand who play, and thousands who come and go."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from loadtest import access
from loadtest.bench.harness.cores_and_usage import Cores
from loadtest.bench.harness.receiver_handle import ALL, ReceiverHandle
from loadtest.bench.harness.servers import Ours
from loadtest.bench.harness.statistics import spread_of
from loadtest.target import http_api

PLAYERS, UPDATES, BOARDS = 1000, 200.0, 20.0
CPU_BOUND = 0.25  # of a core
TICK_MS = 50.0
BURST, CHURN, CHURN_SECONDS = 2000, 200, 60.0
STEP = 0.1  # seconds between two handfuls of leaves and joins
JOIN = json.dumps({"type": "join-demo", "data": {"userId": "player-#", "secret": access.player_secret()}})
WATCH = json.dumps({"type": "watch-demo", "data": {}})
SCORE = json.dumps({"type": "update-score", "data": {"points": 5}})
NOTICES_BOUND = 11  # ten by name and one for the rest, in one tick
RETURN_MB = 20.0

Say = Callable[[str], None]


def whole(cores: Cores, say: Say, *, rounds: int, seconds: float) -> dict[str, Any]:
    """A thousand players and two hundred updates a second: what share of a core the process takes."""
    trials = []
    for number in range(rounds):
        service = Ours(cores.server, "--top", "20")
        try:
            with ReceiverHandle(cores) as audience:
                audience.ask("target", **service.target | {"hello": [JOIN]})
                audience.connect(PLAYERS)
                audience.play(SCORE, UPDATES, stop=PLAYERS)
                # Long enough that everybody has scored and stands on the board.
                time.sleep(PLAYERS / UPDATES + 2)
                seen = audience.watch(seconds, server=service.gauge)
        finally:
            service.stop()
        trials.append(
            {
                "cpu": seen["server_cpu"] / seen["seconds"],
                "boards_per_second": seen["boards"] / seen["seconds"],
                "deliveries_per_second": seen["deliveries"] / seen["seconds"],
                "payload_bytes": seen["payload_bytes"],
                "latency_p99_ms": seen["latency_p99"],
            }
        )
        one = trials[-1]
        say(
            f"round {number + 1}  {PLAYERS} players, {UPDATES:g} updates a second: {one['cpu']:.1%} of a core, "
            f"{one['boards_per_second']:.1f} boards of {one['payload_bytes']:.0f} B a second, "
            f"p99 {one['latency_p99_ms']:.1f} ms"
        )
    cpu = spread_of([one["cpu"] for one in trials])
    bound = {"what": "CPU of the service's process, cores", "bound": CPU_BOUND, "found": cpu["median"]}
    return {"trials": trials, "cpu": cpu, "bounds": [bound]}


def churn(cores: Cores, say: Say, *, seconds: float) -> dict[str, Any]:
    """Two thousand join at once, then hundreds come and go: what a watcher sees of it, and what memory stays."""
    service = Ours(cores.server)
    try:
        with ReceiverHandle(cores) as audience:
            watcher = service.target | {"hello": [WATCH]}
            audience.ask("target", **watcher)
            audience.connect(2)
            audience.tell(JOIN.replace("#", "drummer"), stop=1)
            audience.play(SCORE, BOARDS)
            time.sleep(1)
            _everyone_once(audience, service)
            before = service.gauge.memory()
            fanouts = _fanouts(service.url)
            audience.ask("record", first=1, stop=2)
            began = time.time()
            audience.ask("target", **service.target | {"hello": [JOIN]})
            took = audience.connect(BURST, in_flight=BURST)
            time.sleep(2)
            burst = audience.ask("report", since=began, until=time.time())
            full = service.gauge.memory()
            say(_churn_line(f"{BURST} joins in {took:.1f} s", burst))

            audience.ask("record", first=1, stop=2)
            began = time.time()
            cpu = service.gauge.cpu_seconds()
            oldest, handful = 2 + 2000, int(CHURN * STEP)
            steps = int(seconds / STEP)
            for step in range(steps):
                audience.ask("close", first=oldest, stop=oldest + handful)
                oldest += handful
                audience.ask("connect", count=handful, in_flight=handful, wait=False)
                time.sleep(max(0.0, began + (step + 1) * STEP - time.time()))
            ended = time.time()
            cpu = (service.gauge.cpu_seconds() - cpu) / (ended - began)
            steady = audience.ask("report", since=began, until=ended)
            say(
                _churn_line(f"{CHURN} joins and leaves a second for {ended - began:.0f} s, {cpu:.0%} of a core", steady)
            )
            audience.ask("close", first=2, stop=ALL)
            time.sleep(3)
            after = service.gauge.memory()
            worst = _fanouts(service.url)
    finally:
        service.stop()
    mb = {"before": before / 2**20, "full": full / 2**20, "after": after / 2**20}
    say(f"memory {mb['before']:.1f} MB before, {mb['full']:.1f} with all of them, {mb['after']:.1f} after")
    phases = {
        name: {
            "silence_ms": one["silence"],
            "tick_delay_ms": one["silence"] - TICK_MS,
            "most_notices": one["most_notices"],
            "boards": one["boards"],
        }
        for name, one in (("burst", burst), ("steady", steady))
    }
    return {
        "phases": phases,
        "join_seconds": took,
        "cpu": cpu,
        "memory_mb": mb,
        "fanouts": {key: worst[key] - fanouts[key] for key in worst},
        "bounds": [
            {
                "what": "notices in one tick",
                "bound": NOTICES_BOUND,
                "found": max(one["most_notices"] for one in phases.values()),
            },
            {
                "what": "memory kept after all have left, MB",
                "bound": RETURN_MB,
                "found": mb["after"] - mb["before"],
            },
        ],
    }


def _everyone_once(audience: ReceiverHandle, service: Ours) -> None:
    """Fill what grows once and for good (allocator, caches), so that what is measured is what the crowd leaves."""
    audience.ask("target", **service.target | {"hello": [JOIN]})
    audience.connect(BURST)
    time.sleep(1)
    audience.ask("close", first=2, stop=ALL)
    time.sleep(3)


def _churn_line(what: str, seen: dict[str, Any]) -> str:
    return (
        f"{what}: a watcher waited at most {seen['silence']:.0f} ms for a board ({TICK_MS:g} is the tick) "
        f"and got at most {seen['most_notices']} notices at once"
    )


def _fanouts(url: str) -> dict[str, float]:
    """How many fan-outs took how long, from the service's metrics: by upper bound in seconds, cumulative."""
    return http_api.metrics(url).by("leaderboard_fanout_seconds_bucket", "le")
