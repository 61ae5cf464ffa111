"""The contest: what one delivered board costs each server, how far apart the first and the last client get it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from loadtest.bench.harness import statistics
from loadtest.bench.harness.cores_and_usage import Cores, busy_seconds
from loadtest.bench.harness.receiver_handle import ReceiverHandle
from loadtest.bench.harness.servers import COMPETITORS, OURS, Competitor, NotHere, rows_for

WARM_UP = 1.0  # seconds of boards before a window
SETTLE = 1.0  # seconds between the last connection and the measurement of memory
FIRST_CLIENTS = 10  # connected before memory is first measured, so that what comes with the first client is not counted

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What to measure. `hz` boards a second, fewer where that would be more than `most` deliveries a second."""

    names: Sequence[str]
    rounds: int
    clients: Sequence[int]
    sizes: Sequence[int]
    hz: float
    window: float
    most: float = 20_000.0

    def rate(self, clients: int) -> float:
        """Boards a second to so many clients."""
        return min(self.hz, self.most / clients)

    @property
    def minutes(self) -> float:
        """How long it will take, about."""
        each = sum(3.5 + clients / 1000 + len(self.sizes) * (WARM_UP + self.window + 0.3) for clients in self.clients)
        return each * len(self.names) * self.rounds / 60


def run(plan: Plan, cores: Cores, say: Say) -> dict[str, Any]:
    """Play all rounds, each contestant in turn; return the result's `fanout` part."""
    names, missing = _present(plan.names, cores, say)
    trials: list[dict[str, Any]] = []
    for number in range(plan.rounds):
        for clients in plan.clients:
            for name in names:
                for trial in _play(COMPETITORS[name], plan, clients, cores):
                    trials.append({"round": number + 1} | trial)
                    say(_line(trials[-1]))
    versions: dict[str, str] = {}
    for name in names:
        versions |= COMPETITORS[name].version()
    return {
        "rounds": plan.rounds,
        "window_seconds": plan.window,
        "cores_apart": cores.apart,
        "others_cpu": statistics.spread_of([trial["others_cpu"] for trial in trials]),
        "versions": versions,
        "missing": missing,
        "labels": {name: COMPETITORS[name].label for name in names},
        "table": table(trials),
        "trials": trials,
    }


def table(trials: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each number of clients, size and contestant: medians over the rounds, with their ranges."""
    groups: dict[tuple[int, int, str], list[dict[str, Any]]] = {}
    for trial in trials:
        groups.setdefault((trial["clients"], trial["size"], trial["name"]), []).append(trial)
    rows = []
    for (clients, size, name), group in groups.items():
        ours = groups.get((clients, size, OURS))
        spreads = [spread for trial in group for spread in trial["spreads"]]
        costs = [trial["us_per_delivery"] for trial in group]
        rows.append(
            {
                "clients": clients,
                "size": size,
                "name": name,
                "hz": group[0]["hz"],
                "payload_bytes": round(group[0]["payload_bytes"]),
                "us_per_delivery": statistics.spread_of(costs),
                "spread_p50_ms": statistics.percentile(spreads, 50),
                "spread_p99_ms": statistics.percentile(spreads, 99),
                "delivered": min(trial["delivered"] for trial in group),
                "kb_per_connection": statistics.spread_of([trial["kb_per_connection"] for trial in group]),
                "ours_to_this": statistics.ratios([one["us_per_delivery"] for one in ours], costs) if ours else None,
            }
        )
    return rows


def _present(names: Sequence[str], cores: Cores, say: Say) -> tuple[list[str], dict[str, str]]:
    present, missing = [], {}
    for name in names:
        try:
            COMPETITORS[name].start(cores.server).stop()
            present.append(name)
        except NotHere as reason:
            missing[name] = str(reason)
            say(f"left out: {COMPETITORS[name].label} – {reason}")
    return present, missing


def _play(contestant: Competitor, plan: Plan, clients: int, cores: Cores) -> list[dict[str, Any]]:
    contest = contestant.start(cores.server)
    trials = []
    hz = plan.rate(clients)
    try:
        with ReceiverHandle(cores) as audience:
            audience.ask("target", **contest.target)
            audience.connect(FIRST_CLIENTS)
            time.sleep(SETTLE / 2)
            before = contest.gauge.memory()
            audience.connect(clients - FIRST_CLIENTS)
            time.sleep(SETTLE)
            each = (contest.gauge.memory() - before) / (clients - FIRST_CLIENTS)
            for size in plan.sizes:
                contest.begin(audience, rows_for(size), hz, clients)
                time.sleep(WARM_UP + clients / 4000)
                busy = busy_seconds()
                seen = audience.watch(plan.window, server=contest.gauge)
                busy = busy_seconds() - busy - seen["server_cpu"] - seen["receiver_cpu"]
                contest.rest(audience)
                time.sleep(0.1)
                trials.append(
                    {
                        "name": contestant.name,
                        "clients": clients,
                        "size": size,
                        "hz": hz,
                        "us_per_delivery": 1e6 * seen["server_cpu"] / max(seen["deliveries"], 1),
                        "delivered": seen["deliveries"] / (clients * hz * seen["seconds"]),
                        "kb_per_connection": each / 1024,
                        "others_cpu": max(busy / seen["seconds"], 0.0),
                        **{key: seen[key] for key in ("payload_bytes", "spreads", "latency_p99", "open")},
                        "server_cpu": seen["server_cpu"] / seen["seconds"],
                        "receiver_cpu": seen["receiver_cpu"] / seen["seconds"],
                    }
                )
    finally:
        contest.stop()
    return trials


def _line(trial: dict[str, Any]) -> str:
    spread = statistics.percentile(trial["spreads"], 50)
    return (
        f"round {trial['round']}  {trial['clients']:>5} × {trial['payload_bytes']:>5.0f} B × {trial['hz']:g} Hz  "
        f"{COMPETITORS[trial['name']].label:<31} {trial['us_per_delivery']:>6.1f} µs per delivery  "
        f"spread p50 {spread if spread is not None else float('nan'):>6.1f} ms  "
        f"{trial['kb_per_connection']:>5.1f} KB per connection  delivered {trial['delivered']:>4.0%}  "
        f"server {trial['server_cpu']:>4.0%}  receiver {trial['receiver_cpu']:>4.0%}  other {trial['others_cpu']:>4.0%}"
    )
