"""`python -m soak`: play for an hour, and see whether anything that the service holds grows.

A fixed set of players scores at a steady pace in a fixed set of sessions, coming and going. Memory is sampled all the
time; the line through the last three quarters of the samples (`soak.slope`) has to be flat. A run with op ids and one
without are two runs: the ids, which are kept for minutes, hide the slope of everything else. With `--leak` the service
leaks on purpose, which has to be found. Exit status: 0 flat, 1 not, or not known.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--minutes", type=float, default=60, help="default 60")
    parser.add_argument("--op-ids", action=argparse.BooleanOptionalAction, default=False, help="updates carry ids")
    parser.add_argument("--updates", type=float, default=500, help="a second, of all players (default 500)")
    parser.add_argument("--players", type=int, default=125, help="default 125")
    parser.add_argument("--sessions", type=int, default=10, help="default 10")
    parser.add_argument("--workers", type=int, default=1, help="processes of the service; from 2 on, over Redis")
    parser.add_argument("--bound", type=float, default=2.0, help="MB an hour that memory may grow (default 2)")
    parser.add_argument("--leak", type=float, default=0, metavar="MB", help="have the service leak so much an hour")
    parser.add_argument("--trace", action="store_true", help="trace the service's allocations, which slows it down")
    parser.add_argument("--seed", type=int, default=1, help="of the players (default 1)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, say what was found, and return the exit status."""
    options = parse(arguments)
    # Loaded here, so that --help is quick.
    import uvloop
    from soak.run import Run

    print(f"soak: {vars(options)}", flush=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        faults = runner.run(Run(options, lambda line: print(line, flush=True)).play())
    print(*(f"FAIL {fault}" for fault in faults), sep="\n", end="\n" if faults else "")
    print("FAIL" if faults else "PASS", flush=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
