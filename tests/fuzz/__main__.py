"""`python -m fuzz`: what a stranger, or a damaged file, may send, in great numbers, drawn by a seed.

Raw WebSocket frames, HTTP heads and JSON messages go to a service on loopback, as do the calls that schemathesis
draws from /openapi.json; score logs and a server's bytes go to the readers of the load test. Nothing may crash, hang,
cause a traceback or fill the log, and a bystander is answered all the time. Exit status: 0 passed, 1 not.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import time
from collections.abc import Sequence


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__.partition("\n")[0], allow_abbrev=False)
    for name, default, what in (
        ("frames", 1_000_000, "WebSocket frames at least"),
        ("connections", 50_000, "connections at least, over which they are sent"),
        ("heads", 50_000, "HTTP heads"),
        ("messages", 1_000_000, "JSON messages at least"),
        ("calls", 2_000, "calls drawn from /openapi.json"),
        ("tables", 100_000, "score logs for the replay"),
        ("streams", 200_000, "streams of a server for the swarm's reader"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{what} (default {default}); 0 for none")
    parser.add_argument("--seed", type=int, default=None, help="of all that is drawn (default: any; it is printed)")
    parser.add_argument("--minutes", type=float, default=60, help="the run ends itself by then (default 60)")
    options = parser.parse_args(arguments)
    if options.seed is None:
        options.seed = secrets.randbelow(10**9)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, say what was found, and return the exit status."""
    options = parse(arguments)
    # Loaded here, so that --help is quick.
    import uvloop
    from fuzz.run import Run

    began = time.monotonic()
    print(f"fuzz: seed {options.seed}", flush=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(Run(options, lambda line: print(line, flush=True)).play())
    for tally in report.tallies:
        print(f"{'ok  ' if tally.passed else 'FAIL'} {tally}", *tally.findings, sep="\n       ")
    for fault in report.faults:
        print(f"FAIL {fault}")
    print(f"{'PASS' if report.passed else 'FAIL'}: seed {options.seed}, {time.monotonic() - began:.0f} s", flush=True)
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
