"""`python -m loadtest run`: a swarm against a service, in one line.

A thin cover over Locust: it starts a service with suitable limits when none is named, gives the
service and the generators cores of their own where there are two, and passes the verdict on.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

from loadtest.judge.gates import DEFAULT_GATES, parse_gates
from loadtest.load.scenarios import ARRIVALS, PURPOSES, SCENARIOS, Options, Scenario
from loadtest.replay import score_log
from loadtest.report.html import page
from loadtest.report.run_file import read
from loadtest.target import http_api
from loadtest.target.open_files import TooManySockets, raise_file_limit
from loadtest.target.processes import Service, ServiceFailed

WRONG_USAGE = 2
DEFAULT_PLAYERS = 200
USELESS = (ValueError, score_log.Unreadable, TooManySockets, ServiceFailed, http_api.Unreachable)  # what cannot be run
LOCUSTFILE = Path(__file__).parents[1] / "locustfile.py"
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|)")
_DURATIONS = {"soak": 3600.0}
_DEFAULT_DURATION = 30.0
_SECONDS = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Make the parser that of the command."""
    parser.description = (
        "Send a swarm of players and measure every (update, receiver) pair. Exit status: 0 PASS, 3 FAIL, "
        "4 INVALID (the generator was the bottleneck, or the run was cut short), 2 wrong usage or no service, "
        "130 interrupted before it began."
    )
    parser.epilog = (
        "What stands behind -- goes to Locust as it is. Ctrl-C ends a run early, with what was measured until then; "
        "a second one ends it at once, with nothing."
    )
    scenarios = "; ".join(f"{name}: {purpose}" for name, purpose in PURPOSES.items())
    parser.add_argument("scenario", choices=list(SCENARIOS), metavar="SCENARIO", help=scenarios)
    parser.add_argument("--players", type=int, help="(default 200; of a replay, one for each of the log's users)")
    add_shape(parser)
    parser.add_argument("--out", type=Path, help="file for the run (default runs/<time>-<scenario>.jsonl)")
    parser.set_defaults(run=run)


def add_shape(parser: argparse.ArgumentParser) -> None:
    """What every command that sends swarms wants to know, but for the number of players."""
    parser.add_argument("--rate", type=float, default=40.0, help="updates a second, together (default %(default)s)")
    parser.add_argument("--player-rate", type=float, help="updates a second of each player, instead of --rate")
    parser.add_argument("--arrivals", choices=ARRIVALS, default="poisson", help="(default %(default)s)")
    parser.add_argument("--log", type=Path, metavar="FILE.csv", help="the log of a replay")
    parser.add_argument("--speed", type=float, default=1.0, help="of a replay: times faster than the log (default 1)")
    parser.add_argument(
        "--duration",
        type=duration,
        help="measured time, like 30s or 5m (default 30s; of a soak 1h, of a replay as long as the log)",
    )
    parser.add_argument(
        "--warm-up", type=duration, default=3.0, help="time between all joined and measured (default 3s)"
    )
    parser.add_argument("--spawn-rate", type=float, default=100.0, help="new players a second (default %(default)s)")
    parser.add_argument("--processes", type=int, default=1, help="generator processes (default %(default)s)")
    parser.add_argument(
        "--gate",
        action="append",
        help=f"repeatable (default: the scenario's latency bound and {' '.join(DEFAULT_GATES)})",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--url",
        action="append",
        help="service to send them at; several of one leaderboard: players are spread (default: one started for this)",
    )


def duration(text: str) -> float:
    """Seconds out of a text like 30s, 500ms or 5m."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected a time like 30s, 500ms or 5m, got {text}")
    return float(match[1]) * _SECONDS[match[2]]


def run(options: argparse.Namespace) -> int:
    """Run the swarm; return its exit status."""
    try:
        check(options)
        out = options.out or Path(f"runs/{datetime.now(UTC):%Y%m%d-%H%M%S}-{options.scenario}.jsonl")
        with target_for(options) as target:
            status = send(options, target, out)
    except USELESS as error:
        sys.stderr.write(f"loadtest run: {error}\n")
        return WRONG_USAGE
    if out.exists():
        out.with_suffix(".html").write_text(page(read(out)), "utf-8")
        sys.stderr.write(f" {out.with_suffix('.html')}\n")
    return status


def check(options: argparse.Namespace) -> None:
    """Fill in what follows from the scenario.

    Raises one of `USELESS`, or ModuleNotFoundError, for what cannot be run.
    """
    for name in ("locust", "psutil"):
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    if options.processes < 1 or options.spawn_rate <= 0 or (options.players is not None and options.players < 1):
        raise ValueError("--players, --processes, --spawn-rate: expected positive numbers")
    parse_gates(options.gate or ())
    asked = options.players
    options.players = asked or DEFAULT_PLAYERS
    scenario = _scenario(options)
    if scenario.members is not None:
        options.players = max(asked or 0, scenario.members)
    if options.duration is None:
        options.duration = scenario.lasts or _DURATIONS.get(options.scenario, _DEFAULT_DURATION)
    raise_file_limit(math.ceil(options.players / options.processes))


def _scenario(options: argparse.Namespace) -> Scenario:
    return SCENARIOS[options.scenario](
        Options(
            rate=_each(options),
            seed=options.seed,
            process=options.arrivals,
            warm_up=options.warm_up,
            generators=options.processes,
            file=options.log,
            speed=options.speed,
        )
    )


def _each(options: argparse.Namespace) -> float:
    """Updates a second of each player."""
    each: float = options.rate / options.players if options.player_rate is None else options.player_rate
    return each


@dataclass(frozen=True, slots=True)
class Target:
    """Where a swarm is sent."""

    urls: Sequence[str]
    pid: int | None = None
    cores: frozenset[int] = frozenset()  # for the generators; empty: any


@contextlib.contextmanager
def target_for(options: argparse.Namespace) -> Iterator[Target]:
    """The services that the options name, or one of our own while this lasts. Raises one of `USELESS`."""
    if options.url is not None:
        for url in options.url:
            http_api.identify(url)
        yield Target(options.url)
        return
    # A log knows no limits of a connection.
    fast = 1_000_000 if options.scenario == "replay" else 100
    limits = {
        "max-connections": max(options.players + 100, 10_000),
        "max-players": max(options.players, 20_000),
        "rate": fast,
        "burst": 2 * fast,
    }
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    apart = len(cores) >= 2
    arguments = [part for name, value in limits.items() for part in (f"--{name}", str(value))]
    with contextlib.ExitStack() as stack:
        # A process inherits the cores it may use: the service gets the first one, the generators the others.
        with _on(frozenset(cores[:1]) if apart else frozenset()):
            service = stack.enter_context(Service(arguments))
        sys.stderr.write(f"started a service at {service.url}\n")
        yield Target([service.url], service.pid, frozenset(cores[1:]) if apart else frozenset())


@contextlib.contextmanager
def _on(cores: frozenset[int]) -> Iterator[None]:
    """Within it, this process and those it starts use these cores; empty: as before."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def send(options: argparse.Namespace, target: Target, out: Path, *, quiet: bool = False) -> int:
    """Send one swarm and write the run to `out`; return its exit status. Raises `ServiceFailed`, KeyboardInterrupt."""
    command = [
        sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary", "--loglevel", "WARNING",
        "--host", ",".join(target.urls), "--users", str(options.players), "--spawn-rate", str(options.spawn_rate),
        "--scenario", options.scenario, "--warm-up", str(options.warm_up),
        "--measure", str(options.duration), "--seed", str(options.seed), "--arrivals", options.arrivals,
        "--out", str(out),
    ]  # fmt: skip
    command += ["--player-rate", str(_each(options))]
    if options.processes > 1:
        # At Locust's own port the processes of two runs would take each other for theirs.
        port = str(_free_port())
        command += ["--processes", str(options.processes), "--master-bind-host", "127.0.0.1"]
        command += ["--master-bind-port", port, "--master-port", port]
    for gate in options.gate or ():
        command += ["--gate", gate]
    if options.log is not None:
        command += ["--log", str(options.log), "--speed", str(options.speed)]
    if target.pid is not None:
        command += ["--service-pid", str(target.pid)]
    # The package must be found from wherever this was started.
    path = os.pathsep.join(filter(None, [str(LOCUSTFILE.parent.parent), os.environ.get("PYTHONPATH")]))
    with _on(target.cores):
        return _to_its_end([*command, *options.beyond], {**os.environ, "PYTHONPATH": path}, quiet=quiet)


def _to_its_end(command: list[str], environment: dict[str, str], *, quiet: bool) -> int:
    """Run Locust; return its exit status. Raises KeyboardInterrupt when it was interrupted before it could judge.

    SIGINT and SIGTERM reach it as one SIGTERM. Once Locust is ready it ends the run on that: it settles and
    judges what there is. Before, while it imports, it just dies of it, and without a traceback.
    """
    swarm: subprocess.Popen[bytes] | None = None
    signals: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        signals.append(number)
        if swarm is None or swarm.returncode is not None:
            return
        if signals.count(signal.SIGINT) > 1:
            _kill(swarm)
        elif len(signals) == 1:
            swarm.terminate()

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        # In a group of its own, so that a terminal's Ctrl-C comes from here alone; whoever is in the background
        # may not read from a terminal.
        out = subprocess.DEVNULL if quiet else None
        swarm = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, process_group=0
        )
        if signals:  # while it was started
            swarm.terminate()
        status = swarm.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if status < 0:
        _kill(swarm)  # its generator processes, which nobody leads any more
        if signals:
            raise KeyboardInterrupt
        raise ServiceFailed(f"Locust was ended by {signal.Signals(-status).name}")
    return status


def _kill(swarm: subprocess.Popen[bytes]) -> None:
    """End Locust and all its processes here and now."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(swarm.pid, signal.SIGKILL)
