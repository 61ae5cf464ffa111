"""`python -m loadtest.bench`: measure the service against others, and against what it promises.

fanout    what a delivered board costs here and elsewhere (this is what runs when no command is named)
stuck     what readers who stop reading cost the others
service   the whole service: 1000 players, 200 score updates a second
churn     2000 joins at once, then 200 joins and leaves a second
idle      memory of an idle connection, and the pause of a full garbage collection
stores    what an update costs over Redis and in memory
generator what a received board costs this load test, and what it costs other receivers
all       all of them
"""

from __future__ import annotations

from loadtest.report.console import end_quietly_on_interrupt

if __name__ == "__main__":  # what follows takes a moment to load
    end_quietly_on_interrupt()

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loadtest.bench.harness import results
from loadtest.bench.harness.cores_and_usage import Cores, NotLinux, environment
from loadtest.bench.harness.servers import COMPETITORS, rows_for
from loadtest.bench.measurements import (
    crowd_and_churn,
    fanout,
    generator_cost,
    idle_connections,
    redis_cost,
    stuck_readers,
)
from loadtest.bench.measurements.fanout import Plan
from loadtest.target.open_files import TooManySockets, raise_file_limit

COMMANDS = ("fanout", "stuck", "service", "churn", "idle", "stores", "generator", "all")
HOLDS, CANNOT_MEASURE, BROKEN = 0, 2, 3  # exit statuses
QUICK = {"rounds": 2, "clients": [1000], "sizes": [1024], "window": 2.0}


def say(line: str) -> None:
    """Print one line at once."""
    print(line, flush=True)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command and its options."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", nargs="?", choices=COMMANDS, default="fanout")
    parser.add_argument("--quick", action="store_true", help="1000 clients, 1 KB, two short rounds: for development")
    parser.add_argument("--only", type=_names, metavar="A,B", help=f"of {', '.join(COMPETITORS)}")
    parser.add_argument("--rounds", type=_positive, help="interleaved rounds (5; of stuck 3)")
    parser.add_argument("--clients", type=_numbers, metavar="N,N", help="numbers of clients (100,1000,4000)")
    parser.add_argument(
        "--sizes",
        type=_numbers,
        metavar="B,B",
        help="sizes of the board in bytes (256,1024,4096; of stuck one, 20 rows)",
    )
    parser.add_argument("--hz", type=float, default=20.0, help="boards a second (20)")
    parser.add_argument(
        "--most", type=float, default=20_000.0, help="deliveries a second; above it there are fewer boards (20000)"
    )
    parser.add_argument("--window", type=float, help="seconds of a measurement (4; of stuck 20; of churn 60)")
    parser.add_argument("--output", type=Path, default=Path("docs"), help="folder of the benchmark.* files (docs)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write what was found; return the exit status.

    0: every bound holds. 2: this machine cannot measure. 3: a bound does not hold.
    """
    options = parse(arguments)
    commands = [one for one in COMMANDS if one != "all"] if options.command == "all" else [options.command]
    where = environment()
    try:
        cores = Cores.of_this_machine()
        raise_file_limit(max(options.clients or [4000]))
    except (NotLinux, TooManySockets) as problem:
        print(problem, file=sys.stderr)
        return CANNOT_MEASURE
    if not cores.apart:
        say("this machine has one core: servers and receivers share it, and figures come out too high")
    kept = []
    for command in commands:
        found = MEASURE[command](options, cores)
        results.save(options.output, command, found, where)
        kept += _kept(command, found)
        say(f"written: {options.output / 'benchmark'}.json, .md" + (", .svg" if command == "fanout" else ""))
    return HOLDS if all(kept) else BROKEN


def _kept(command: str, found: dict[str, Any]) -> list[bool]:
    """Print each bound with what was found; return whether they hold. Of `stuck` ours count: the controls must fail."""
    kept = [bool(one["holds"]) for one in found["verdicts"]["this service"]] if command == "stuck" else []
    for bound in results.bounds(found) if command == "fanout" else found.get("bounds", ()):
        kept.append(bound["found"] <= bound["bound"])
        words = "holds" if kept[-1] else "DOES NOT HOLD"
        say(f"{bound['what']}: {bound['found']:.2f}, bound {bound['bound']:g}: {words}")
    return kept


def _fanout(options: argparse.Namespace, cores: Cores) -> dict[str, Any]:
    default: dict[str, Any] = {"rounds": 5, "clients": [100, 1000, 4000], "sizes": [256, 1024, 4096], "window": 4.0}
    chosen: dict[str, Any] = {
        name: getattr(options, name) or (QUICK if options.quick else default)[name]
        for name in ("rounds", "clients", "sizes", "window")
    }
    plan = Plan(names=options.only or list(COMPETITORS), hz=options.hz, most=options.most, **chosen)
    say(
        f"{len(plan.names)} contestants, {'/'.join(map(str, plan.clients))} clients, "
        f"boards of {'/'.join(map(str, plan.sizes))} bytes, {plan.rounds} rounds: about {plan.minutes:.0f} minutes"
    )
    return fanout.run(plan, cores, say)


def _stuck(options: argparse.Namespace, cores: Cores) -> dict[str, Any]:
    rows = rows_for(options.sizes[0]) if options.sizes else stuck_readers.ROWS
    rounds = options.rounds or (1 if options.quick else 3)
    return stuck_readers.run(cores, say, rounds=rounds, seconds=options.window or 20.0, rows=rows)


def _service(options: argparse.Namespace, cores: Cores) -> dict[str, Any]:
    rounds = options.rounds or (1 if options.quick else 5)
    return crowd_and_churn.whole(cores, say, rounds=rounds, seconds=options.window or 8.0)


def _churn(options: argparse.Namespace, cores: Cores) -> dict[str, Any]:
    return crowd_and_churn.churn(cores, say, seconds=options.window or (5.0 if options.quick else 60.0))


def _idle(options: argparse.Namespace, cores: Cores) -> dict[str, Any]:
    return idle_connections.run(options.clients or ([1000] if options.quick else [1000, 4000]), cores, say)


def _stores(options: argparse.Namespace, cores: Cores) -> dict[str, Any]:
    rounds = options.rounds or (1 if options.quick else 5)
    return redis_cost.run(cores, say, rounds=rounds, seconds=options.window or 6.0)


def _generator(options: argparse.Namespace, cores: Cores) -> dict[str, Any]:
    rounds = options.rounds or (1 if options.quick else 5)
    return generator_cost.run(list(generator_cost.LABELS), cores, say, rounds=rounds, seconds=options.window or 8.0)


MEASURE = {
    "fanout": _fanout, "stuck": _stuck, "service": _service, "churn": _churn, "idle": _idle, "stores": _stores,
    "generator": _generator,
}  # fmt: skip


def _numbers(text: str) -> list[int]:
    return [_positive(one) for one in text.split(",")]


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {text}")
    return number


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in COMPETITORS]
    if unknown:
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(COMPETITORS)}, got {', '.join(unknown)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
