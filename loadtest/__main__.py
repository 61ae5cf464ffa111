"""`python -m loadtest`: run a swarm or play a score log from the command line.

run SCENARIO     run a swarm, measure it, judge it
ramp             find the knee: the most players with which all gates hold
compare A B      compare two sets of runs: which is slower, and with what confidence
report RUN       write a run as one HTML page
replay FILE      play a score log and compare the board with a fold of it

A command is imported only when it is used: the replay needs only the service's dependencies,
and neither its help nor this one should wait for numpy.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from loadtest.report.console import make_printable, say

WRONG_USAGE: Final = 2
INTERRUPTED: Final = 130  # as a shell reports it: 128 + SIGINT
COMMANDS: Final = {
    "run": "run a swarm, measure it, judge it",
    "ramp": "find the knee: the most players with which all gates hold",
    "compare": "compare two sets of runs: which is slower, and with what confidence",
    "report": "write a run as one HTML page",
    "replay": "play a score log and compare the board with a fold of it",
}
PASSING: Final = {"run", "ramp"}
EXTRA: Final = {"numpy", "locust", "gevent", "psutil"}  # installed by the extra `loadtest` of elsa-leaderboard


def parser(command: str | None = None) -> argparse.ArgumentParser:
    """All commands, and the options of one; its module, `loadtest.cli.<name>`, adds them and names its function."""
    top = argparse.ArgumentParser(prog="python -m loadtest", description="Load, measure and check the leaderboard.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        one = commands.add_parser(name, help=purpose)
        if name == command:
            import_module(f"loadtest.cli.{name}").add_options(one)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: 0 pass, 2 wrong usage, 3 fail, 4 invalid, 130 interrupted."""
    make_printable()
    arguments = sys.argv[1:] if arguments is None else arguments
    command = next(iter(arguments), None)
    # Arguments after -- are for Locust, with the commands that start it.
    end = arguments.index("--") if command in PASSING and "--" in arguments else len(arguments)
    try:
        options = parser(command).parse_args(arguments[:end], argparse.Namespace(beyond=arguments[end + 1 :]))
        status: int = options.run(options)
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except ModuleNotFoundError as missing:
        if missing.name not in EXTRA:
            raise
        say(f"loadtest: {command} needs {missing.name}: pip install '.[loadtest]'")
        return WRONG_USAGE
    return status


if __name__ == "__main__":
    sys.exit(main())
