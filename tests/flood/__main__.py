"""`python -m flood`: what a bystander notices of one who floods the service.

Each kind of flood comes from one socket and from five, in rounds with quiet ones between; the medians of the rounds
count. The bystander's p99 stays within 20 ms, or within twice that of the quiet rounds, every answer is there, and
memory grows by 20 MB at most. With `--server unbounded` the service runs without what bounds a flood, and each kind
has to miss one of these. Exit status: 0 if all is as it has to be, 1 if not.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

KINDS = ("pings", "pongs", "fragments", "joins", "watches", "heads", "silent", "tokens")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m flood", description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--sockets", nargs="+", type=int, default=[1, 5], metavar="N", help="of a flood (default 1 5)")
    parser.add_argument("--rounds", type=int, default=5, help="with a flood, and quiet (default 5)")
    parser.add_argument("--seconds", type=float, default=4, help="of a round (default 4)")
    parser.add_argument("--server", choices=["ours", "unbounded"], default="ours", help="ours, or the control")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, say what was found, and return the exit status."""
    options = parse(arguments)
    # Loaded here, so that --help is quick.
    import uvloop
    from flood.run import play

    print(f"flood: {vars(options)}", flush=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        faults = runner.run(play(options, lambda line: print(line, flush=True)))
    print(*(f"FAIL {fault}" for fault in faults), sep="\n", end="\n" if faults else "")
    print("FAIL" if faults else "PASS", flush=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
