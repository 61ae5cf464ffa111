"""What a connection costs while nothing happens: memory, and the pause of a full garbage collection."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from loadtest import access
from loadtest.bench.harness.cores_and_usage import Cores, Gauge, on_core
from loadtest.bench.harness.gc_probe import SAID
from loadtest.bench.harness.receiver_handle import ReceiverHandle
from loadtest.bench.harness.servers import target
from loadtest.bench.harness.statistics import spread_of
from loadtest.bench.measurements.fanout import FIRST_CLIENTS, SETTLE
from loadtest.target.processes import Service, ServiceFailed

COLLECTIONS = 3
WATCH = json.dumps({"type": "watch-demo", "data": {}})
JOIN = json.dumps({"type": "join-demo", "data": {"userId": "idle-#", "secret": access.player_secret()}})
MEMORY_KB, PAUSE_MS = 40.0, 20.0


class Probed(Service):
    """The service with a probe for full collections in its process."""

    def __init__(self, core: int, *arguments: str) -> None:
        # `Service` says `python -m service …`; the prefix turns that into `python -m …gc_probe service …`.
        probe = "loadtest.bench.harness.gc_probe"
        turn = f"import os, sys; os.execv(sys.executable, [sys.executable, '-m', {probe!r}, *sys.argv[3:]])"
        super().__init__(arguments, prefix=[*on_core(core), sys.executable, "-c", turn])

    def collect(self) -> float:
        """Milliseconds a full collection pauses the process."""
        seen = sum(SAID in line for line in self.log)
        os.kill(self.pid, signal.SIGUSR1)
        for _ in range(500):
            lines = [line for line in self.log if SAID in line]
            if len(lines) > seen:
                return float(lines[-1].removeprefix(SAID).split()[0])
            time.sleep(0.01)
        raise ServiceFailed("the service did not answer the signal to collect")


def run(counts: Sequence[int], cores: Cores, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure watchers and players at each number of connections; return the result's `idle` part."""
    rows: list[dict[str, Any]] = []
    for count in counts:
        for kind, hello in (("watchers", WATCH), ("players", JOIN)):
            rows.append({"connections": count, "kind": kind} | _measure(count, hello, cores))
            row = rows[-1]
            say(
                f"{count:>5} {kind:<8} {row['kb_per_connection']:>6.1f} KB each  "
                f"full collection {row['pause_ms']['median']:.1f} ms (at most {row['pause_ms']['max']:.1f})"
            )
    most = max(counts)
    worst_kb = max(row["kb_per_connection"] for row in rows)
    worst_ms = max(row["pause_ms"]["max"] for row in rows if row["connections"] == most)
    return {
        "rows": rows,
        "bounds": [
            {"what": "memory of an idle connection, KB", "bound": MEMORY_KB, "found": worst_kb},
            {"what": f"full collection at {most} connections, ms", "bound": PAUSE_MS, "found": worst_ms},
        ],
    }


def _measure(count: int, hello: str, cores: Cores) -> dict[str, Any]:
    with Probed(cores.server) as service, ReceiverHandle(cores) as audience:
        gauge = Gauge(service.pid)
        audience.ask("target", **target(int(service.url.rsplit(":", 1)[1]), hello=[hello]))
        audience.connect(FIRST_CLIENTS)
        time.sleep(SETTLE)
        before = gauge.memory()
        audience.connect(count - FIRST_CLIENTS)
        time.sleep(2 * SETTLE)
        each = (gauge.memory() - before) / (count - FIRST_CLIENTS) / 1024
        pauses = [service.collect() for _ in range(COLLECTIONS)]
    return {"kb_per_connection": each, "pause_ms": spread_of(pauses)}
