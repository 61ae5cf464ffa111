"""`python -m storm`: a whole audience loses its connections at once, and comes back.

First all are cut, then the service restarts, then all are cut while as many handshakes dawdle. Each time all must be
back within ten seconds and the service's CPU quiet ten seconds later, and calls are answered all the time. After a
restart the seconds count from its end; where that takes long, on a busy machine, the clients' waits have grown to
ten seconds. Exit status: 0 they were back, 1 not.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m storm", description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--sockets", type=int, default=1000, help="default 1000")
    parser.add_argument("--rounds", type=int, default=3, help="how often each storm comes (default 3)")
    parser.add_argument("--within", type=float, default=10, help="seconds, as above (default 10)")
    parser.add_argument("--seed", type=int, default=1, help="of the waits before a reconnect (default 1)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, say what was found, and return the exit status."""
    options = parse(arguments)
    # Loaded here, so that --help is quick.
    import uvloop
    from storm.run import Run

    from loadtest.target.open_files import raise_file_limit

    raise_file_limit(2 * options.sockets)
    print(f"storm: {vars(options)}", flush=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        faults = runner.run(Run(options, lambda line: print(line, flush=True)).play())
    print(*(f"FAIL {fault}" for fault in faults), sep="\n", end="\n" if faults else "")
    print("FAIL" if faults else "PASS", flush=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
