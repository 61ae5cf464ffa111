"""Readers who stop reading: what they cost the others, the server, and how soon they are ended.

The same for the service without its fan-out extension and for the usual broadcast: they are the control, which
must fail the bounds, or the bounds would prove nothing.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from typing import Any

from loadtest.bench.harness.cores_and_usage import Cores
from loadtest.bench.harness.receiver_handle import ReceiverHandle
from loadtest.bench.harness.servers import COMPETITORS, Ours, Program, RunningServer, play_session, target
from loadtest.bench.harness.statistics import spread_of
from loadtest.target import http_api

CLIENTS, STUCK = 500, 50
ROWS, HZ = 20, 20.0  # the board as it is by default
WARM_UP = 2.0
P99_RATIO, MEMORY_MB, ENDED_SECONDS = 1.2, 20.0, 15.0

Say = Callable[[str], None]


class Plain(Program):
    """The service under plain `uvicorn service.main:app`: no extension, so nobody is ended for not reading."""

    def __init__(self, core: int) -> None:
        command = [sys.executable, "-m", "uvicorn", "service.main:app", "--port", "0"]
        environment = {"LEADERBOARD_RATE": "100000", "LEADERBOARD_BURST": "100000", "LEADERBOARD_TOP": "100"}
        plain = {key: value for key, value in target(0).items() if key != "port"}
        super().__init__(command, core=core, target=plain, environment=environment, read_port=_from_log)
        self.url = f"http://127.0.0.1:{self.target['port']}"

    def begin(self, audience: ReceiverHandle, rows: int, hz: float, clients: int) -> None:
        play_session(audience, rows, hz)

    def rest(self, audience: ReceiverHandle) -> None:
        audience.play("", 0)


def _from_log(line: str) -> tuple[int, int | None] | None:
    found = re.search(r"running on http://127\.0\.0\.1:(\d+)", line)
    return (int(found[1]), None) if found else None


def _usual(core: int) -> RunningServer:
    return COMPETITORS["usual"].start(core)


WHO: dict[str, Callable[[int], RunningServer]] = {"this service": Ours, "plain uvicorn": Plain, "usual FastAPI": _usual}


def run(cores: Cores, say: Say, *, rounds: int, seconds: float, rows: int = ROWS) -> dict[str, Any]:
    """Play all rounds, without and with stuck readers in turn; return the result's `stuck` part.

    Of a board of 20 rows the kernel takes more than a minute's worth for a socket that is not read, so the usual
    broadcast does not stand still before the ping time-out; with a hundred rows it does, within twenty seconds.
    """
    trials: dict[str, list[dict[str, Any]]] = {name: [] for name in WHO}
    for number in range(rounds):
        for name, start in WHO.items():
            pair = {
                stuck: _play(start, stuck, seconds, cores, rows)
                # Now the one first, now the other, so that a machine that warms up favours neither.
                for stuck in ((0, STUCK), (STUCK, 0))[number % 2]
            }
            trials[name].append(_compare(pair[0], pair[STUCK]))
            say(f"round {number + 1}  {name:<14} {_line(trials[name][-1])}")
    verdicts = {name: _verdict(ones) for name, ones in trials.items()}
    for name, verdict in verdicts.items():
        say(f"{name:<14} {'holds' if all(one['holds'] for one in verdict) else 'does not hold'} the bounds")
    return {
        "clients": CLIENTS,
        "stuck": STUCK,
        "rows": rows,
        "seconds": seconds,
        "trials": trials,
        "verdicts": verdicts,
    }


def _play(start: Callable[[int], RunningServer], stuck: int, seconds: float, cores: Cores, rows: int) -> dict[str, Any]:
    contest = start(cores.server)
    try:
        with ReceiverHandle(cores) as audience:
            audience.ask("target", **contest.target)
            audience.connect(CLIENTS)
            contest.begin(audience, rows, HZ, CLIENTS)
            time.sleep(WARM_UP)
            before = most = contest.gauge.memory()
            ended_after: float | None = None
            audience.ask("record", first=0, stop=CLIENTS - STUCK)
            began = time.time()
            if stuck:
                audience.ask("stop_reading", first=CLIENTS - stuck, stop=CLIENTS)
            while (passed := time.time() - began) < seconds:
                time.sleep(1)
                most = max(most, contest.gauge.memory())
                # Asked in both runs, since to answer costs the server something, too.
                if _too_slow(contest) >= STUCK and ended_after is None:
                    ended_after = passed
            seen = audience.ask("report", since=began, until=time.time())
    finally:
        contest.stop()
    return {
        "latency_p99": seen["latency_p99"],
        "silence": seen["silence"],
        "boards": seen["boards"],
        "memory_mb": (most - before) / 2**20,
        "ended_after": ended_after,
    }


def _too_slow(contest: RunningServer) -> int:
    if not isinstance(contest, Ours | Plain):
        return 0
    return int(http_api.metrics(contest.url).by("leaderboard_connections_closed_total", "code").get("4408", 0))


def _compare(without: dict[str, Any], with_them: dict[str, Any]) -> dict[str, Any]:
    both = without["latency_p99"], with_them["latency_p99"]
    return {
        "p99_ms": {"without": both[0], "with": both[1]},
        "p99_ratio": both[1] / both[0] if both[0] and both[1] else None,
        "silence_ms": {"without": without["silence"], "with": with_them["silence"]},
        "boards": {"without": without["boards"], "with": with_them["boards"]},
        "memory_mb": with_them["memory_mb"] - without["memory_mb"],
        "ended_after": with_them["ended_after"],
    }


def _verdict(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is bound, what was found (the median of the rounds), and whether it holds."""
    ratios = [one["p99_ratio"] for one in trials if one["p99_ratio"] is not None]
    ended = [one["ended_after"] for one in trials]
    shares = [one["boards"]["with"] / max(one["boards"]["without"], 1) for one in trials]
    ratio = spread_of(ratios)["median"] if ratios else None
    share = spread_of(shares)["median"]
    memory = spread_of([one["memory_mb"] for one in trials])["median"]
    late = None if None in ended else max(ended)
    return [
        {"what": "p99 of the other clients, with ÷ without", "bound": P99_RATIO, "found": ratio,
         "holds": ratio is not None and ratio <= P99_RATIO},
        {"what": "boards that the others got, with ÷ without, at least", "bound": 0.95, "found": share,
         "holds": share >= 0.95},
        {"what": "additional memory, MB", "bound": MEMORY_MB, "found": memory, "holds": memory <= MEMORY_MB},
        {"what": "seconds until all are closed with 4408", "bound": ENDED_SECONDS, "found": late,
         "holds": late is not None and late <= ENDED_SECONDS},
    ]  # fmt: skip


def _line(one: dict[str, Any]) -> str:
    p99, boards, ended = one["p99_ms"], one["boards"], one["ended_after"]
    shown = ["–" if value is None else f"{value:.1f}" for value in (p99["without"], p99["with"], one["p99_ratio"])]
    return (
        f"p99 {shown[0]} → {shown[1]} ms (× {shown[2]})  boards {boards['without']} → {boards['with']}  "
        f"longest silence {one['silence_ms']['without']:.0f} → {one['silence_ms']['with']:.0f} ms  "
        f"memory {one['memory_mb']:+.1f} MB  ended after {'–' if ended is None else f'{ended:.1f} s'}"
    )
