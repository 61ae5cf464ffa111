"""What this load test itself costs, against receivers that others would write.

All receive boards of the same size on as many connections, alone on their core. This one is Locust with all its
bookkeeping: every pair measured, every board stamped. The others only receive and count.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from loadtest.bench.harness.cores_and_usage import Cores, Gauge, on_core
from loadtest.bench.harness.receiver_handle import ReceiverHandle
from loadtest.bench.harness.servers import (
    COMPETITORS,
    PEERS,
    NotHere,
    Ours,
    Program,
    play_session,
    rows_for,
    target,
)
from loadtest.bench.harness.statistics import ratios, spread_of
from loadtest.load import locust_launcher
from loadtest.plan.run_spec import RunSpec, service_options
from loadtest.report.run_file import read
from loadtest.target.processes import ServiceFailed, WatchedCommand

CONNECTIONS, FEW, SIZE = 1000, 100, 1024
STARTS_WITHIN = 60.0  # seconds
WARM_UP = 3.0  # seconds
US_BOUND, KB_BOUND = 12.0, 20.0
RATIO_BOUNDS = {"sync-gevent": 0.4, "socketio-user": 0.08}

OURS = "this"
LABELS = {
    OURS: "this load test, one in twenty plays",
    "this-all": "this load test, everybody plays",
    "sync-gevent": "websockets.sync, gevent",
    "socketio-user": "Locust's SocketIOUser",
}
# Boards a second: as many as each can receive on a core without falling behind.
HZ = {OURS: 20.0, "this-all": 20.0, "sync-gevent": 8.0, "socketio-user": 1.0}


@dataclass(frozen=True, slots=True)
class GeneratorUse:
    """What a window showed: boards received, CPU seconds and the memory of the process."""

    boards: int
    cpu: float
    memory: float
    seconds: float


def run(
    names: Sequence[str], cores: Cores, say: Callable[[str], None], *, rounds: int, seconds: float
) -> dict[str, Any]:
    """Play the rounds, forwards and backwards in turn; return the result's `generator` part."""
    if "socketio-user" in names and find_spec("socketio") is None:
        raise NotHere("python-socketio is not installed")
    trials: list[dict[str, Any]] = []
    for number in range(rounds):
        for name in names if number % 2 == 0 else list(reversed(names)):
            few, many = (_measure(name, count, cores, seconds) for count in (FEW, CONNECTIONS))
            trials.append(
                {
                    "round": number + 1,
                    "name": name,
                    "us_per_board": 1e6 * many.cpu / max(many.boards, 1),
                    "kb_per_connection": (many.memory - few.memory) / (CONNECTIONS - FEW) / 1024,
                    "boards_per_second": many.boards / many.seconds / CONNECTIONS,
                    "cpu": many.cpu / many.seconds,
                }
            )
            say(_line(trials[-1]))
    rows = table(trials, names)
    return {"rounds": rounds, "window_seconds": seconds, "rows": rows, "bounds": bounds(rows), "trials": trials}


def table(trials: Sequence[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each receiver: medians over the rounds with their ranges, and this load test's ratio to it."""
    costs = {name: [one["us_per_board"] for one in trials if one["name"] == name] for name in names}
    return [
        {
            "name": name,
            "label": LABELS[name],
            "us_per_board": spread_of(costs[name]),
            "kb_per_connection": spread_of([one["kb_per_connection"] for one in trials if one["name"] == name]),
            "boards_per_second": spread_of([one["boards_per_second"] for one in trials if one["name"] == name]),
            "ours_to_this": ratios(costs[OURS], costs[name]) if OURS in costs else None,
        }
        for name in names
    ]


def bounds(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the load test is held to, and what was found."""
    found = []
    for row in rows:
        if row["name"] == OURS:
            cost, memory = row["us_per_board"], row["kb_per_connection"]
            found.append({"what": "µs per received board", "bound": US_BOUND, "found": cost["median"]} | cost)
            found.append({"what": "KB per connection", "bound": KB_BOUND, "found": memory["median"]} | memory)
        if row["name"] in RATIO_BOUNDS and row["ours_to_this"] is not None:
            ratio = row["ours_to_this"]
            what = f"cost ÷ {row['label']}"
            found.append({"what": what, "bound": RATIO_BOUNDS[row["name"]], "found": ratio["median"]} | ratio)
    return found


def _measure(name: str, connections: int, cores: Cores, seconds: float) -> GeneratorUse:
    if name == "socketio-user":
        return _socketio(connections, cores, seconds)
    rows = rows_for(SIZE)
    spec = RunSpec(
        scenario="audience" if name == OURS else "steady",
        players=connections,
        rate=HZ[name],
        warm_up=WARM_UP,
        duration=seconds,
        spawn_rate=200.0,
    )
    # The audience's socket, which plays for the others, is one more; this load test's own players wait for nobody.
    limits = service_options(spec) if name in {OURS, "this-all"} else ()
    service = Ours(cores.server, *limits, "--top", str(rows))
    try:
        if name in {OURS, "this-all"}:
            return _swarm(spec, service, cores)
        port = service.url.rsplit(":", 1)[1]
        with ReceiverHandle(cores) as audience:
            audience.ask("target", **target(int(port)))
            audience.connect(1)
            play_session(audience, rows, HZ[name])
            command = [
                sys.executable,
                "-m",
                "loadtest.bench.peers.rival_websocket_receivers",
                port,
                str(connections),
                f"bench-{rows}",
            ]
            return _rival(command, connections, cores, seconds)
    finally:
        service.stop()


def _socketio(connections: int, cores: Cores, seconds: float) -> GeneratorUse:
    contest = COMPETITORS["python-socketio"].start(cores.server)
    assert isinstance(contest, Program)
    try:
        with ReceiverHandle(cores) as audience:
            contest.begin(audience, rows_for(SIZE), HZ["socketio-user"], connections)
        command = [
            sys.executable, "-P", locust_launcher.LOCUST_SCRIPT, "-f", str(PEERS / "rival_locust_socketio.py"),
            "--headless", "--loglevel", "ERROR", "--users", str(connections), "--spawn-rate", "100",
            "--host", f"http://127.0.0.1:{contest.target['port']}",
        ]  # fmt: skip
        return _rival(command, connections, cores, seconds)
    finally:
        contest.stop()


def _rival(command: list[str], connections: int, cores: Cores, seconds: float) -> GeneratorUse:
    """Start it, wait until all its connections are open, and watch it for so many seconds."""
    receivers = WatchedCommand(
        " ".join(command), [*on_core(cores.clients), *command], heard=lambda line: line.startswith('{"open"'),
        environment={"no_proxy": "127.0.0.1"},
    )  # fmt: skip

    def wait_for(condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        ends = time.monotonic() + STARTS_WITHIN + seconds
        said: dict[str, Any] = json.loads(receivers.hear(STARTS_WITHIN))
        while not condition(said):
            if time.monotonic() > ends:
                raise ServiceFailed(f"{' '.join(command)}: not ready within {STARTS_WITHIN:g} s, last {said}")
            said = json.loads(receivers.hear(STARTS_WITHIN))
        return said

    try:
        opened = wait_for(lambda said: said["open"] >= connections)["at"]
        first = wait_for(lambda said: said["at"] >= opened + WARM_UP)
        last = wait_for(lambda said: said["at"] >= first["at"] + seconds)
        memory = Gauge(receivers.pid).memory()
    finally:
        receivers.stop(0)
    return GeneratorUse(last["boards"] - first["boards"], last["cpu"] - first["cpu"], memory, last["at"] - first["at"])


def _swarm(spec: RunSpec, service: Ours, cores: Cores) -> GeneratorUse:
    """This load test as it is, and its own account of boards and CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run.jsonl"
        command = locust_launcher.command(replace(spec, urls=(service.url,), out=str(out)))
        swarm = WatchedCommand(
            "the swarm", [*on_core(cores.clients), *command], environment=locust_launcher.environment()
        )
        try:
            memory = _memory_at_the_end(swarm, out, spec.duration or 0.0)
            swarm.process.wait(STARTS_WITHIN)
        finally:
            swarm.stop(0)
        totals = read(out)[-1]["totals"]
    cpu = sum(share["cpuSeconds"] for share in totals["shares"].values())
    return GeneratorUse(totals["boards_received"], cpu, memory, totals["seconds"])


def _memory_at_the_end(swarm: WatchedCommand, out: Path, seconds: float) -> float:
    """The memory in the last of the measured seconds."""
    ends = time.monotonic() + STARTS_WITHIN + seconds
    while time.monotonic() < ends and swarm.alive:
        if out.exists() and sum(line.get("phase") == "measure" for line in read(out)) >= seconds - 1:
            return Gauge(swarm.pid).memory()
        time.sleep(0.2)
    raise ServiceFailed(f"the swarm did not measure within {STARTS_WITHIN:g} s")


def _line(trial: dict[str, Any]) -> str:
    return (
        f"round {trial['round']}  {LABELS[trial['name']]:<36} {trial['us_per_board']:>6.1f} µs for a board  "
        f"{trial['kb_per_connection']:>6.1f} KB for a connection  {trial['boards_per_second']:.1f} boards/s each  "
        f"{trial['cpu']:.0%} of a core"
    )
