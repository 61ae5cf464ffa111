"""`python -m loadtest run`: run a swarm against a service with one command.

A thin wrapper around Locust: it starts a service with suitable limits if none is named, gives the
service and the generators separate cores where there are two, and returns the verdict.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from loadtest.load import locust_launcher
from loadtest.load.run_target import target_for
from loadtest.plan import run_spec
from loadtest.plan.run_spec import RunSpec
from loadtest.replay import score_log
from loadtest.replay.log_format import LogFormat
from loadtest.replay.log_question import load_asking
from loadtest.report.html import page
from loadtest.report.run_file import read
from loadtest.target import http_api
from loadtest.target.open_files import TooManySockets
from loadtest.target.processes import ServiceFailed

WRONG_USAGE = 2
USELESS = (ValueError, score_log.Unreadable, TooManySockets, ServiceFailed, http_api.Unreachable)  # no run is possible


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the description and options of the command to the parser."""
    parser.description = (
        "Run a swarm of players and measure every (update, receiver) pair. Exit status: 0 PASS, 3 FAIL, "
        "4 INVALID (the generator was the bottleneck, or the run was cut short), 2 wrong usage or no service, "
        "130 interrupted before it started."
    )
    parser.epilog = (
        "Arguments after -- go to Locust unchanged. Ctrl-C ends a run early and keeps what was measured; "
        "a second Ctrl-C ends it at once and keeps nothing."
    )
    run_spec.add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the swarm; return its exit status."""
    try:
        spec = locust_launcher.ready(_log_read(RunSpec.from_options(options)))
        out = Path(spec.out or f"runs/{datetime.now(UTC):%Y%m%d-%H%M%S}-{spec.scenario}.jsonl")
        with target_for(spec) as target:
            sent = target.named_in(replace(spec, out=str(out)))
            status = locust_launcher.run(sent, options.beyond, cores=target.cores)
    except USELESS as error:
        sys.stderr.write(f"loadtest run: {error}\n")
        return WRONG_USAGE
    if out.exists():
        out.with_suffix(".html").write_text(page(read(out)), "utf-8")
        sys.stderr.write(f" {out.with_suffix('.html')}\n")
    return status


def _log_read(spec: RunSpec) -> RunSpec:
    """The spec with all that it takes to read the log of a replay; say how it is read."""
    if spec.scenario != "replay" or not spec.log or spec.speed <= 0:
        return spec  # the scenario says what is missing
    log, log_format = load_asking(Path(spec.log), LogFormat.of(spec), spec.speed)
    sys.stderr.write(f"the log was read as {log.read_as}\n")
    return replace(spec, **asdict(log_format))
