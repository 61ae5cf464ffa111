"""`python -m loadtest`: play a swarm or a score log from the command line.

run SCENARIO     send a swarm, measure it, judge it
replay FILE      play a score log and compare the board with a fold of it
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from loadtest import command_replay, command_run


def parser() -> argparse.ArgumentParser:
    """The commands and their options; each command's module adds its own and names its function."""
    top = argparse.ArgumentParser(prog="python -m loadtest", description="Load, measure and check the leaderboard.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    command_run.add_to(commands)
    command_replay.add_to(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: 0 pass, 2 wrong usage, 3 fail, 4 invalid."""
    options = parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
