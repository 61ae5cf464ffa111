"""`python -m loadtest run`: run a swarm against a service with one command.

A thin wrapper around Locust: it starts a service with suitable limits if none is named, gives the
service and the generators separate cores where there are two, and returns the verdict.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path

from loadtest import access
from loadtest.load import locust_launcher
from loadtest.load.run_target import target_for
from loadtest.plan import run_spec
from loadtest.plan.run_spec import RunSpec
from loadtest.replay import score_log
from loadtest.replay.log_format import LogFormat
from loadtest.replay.log_question import load_asking
from loadtest.report.console import say
from loadtest.report.html import page
from loadtest.report.run_file import Unwritable, read
from loadtest.report.run_path import page_beside, release, reserve, write_text
from loadtest.target import http_api
from loadtest.target.open_files import TooManySockets
from loadtest.target.processes import ServiceFailed

WRONG_USAGE = 2
USELESS = (  # no run is possible
    ValueError, score_log.Unreadable, Unwritable, TooManySockets, ServiceFailed, http_api.Unreachable,
)  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the description and options of the command to the parser."""
    parser.description = (
        "Run a swarm of players and measure every (update, receiver) pair. Exit status: 0 PASS, 3 FAIL, "
        "4 INVALID (the answer depends on the generator, or the run was cut short), 2 wrong usage or no service, "
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
        access.use(spec.headers, spec.ca_file, spec.player_secret)
        out = reserve(spec.out, spec.scenario)
        try:
            return _play(replace(spec, out=str(out)), options.beyond)
        finally:
            release(out)
    except USELESS as error:
        say(f"loadtest run: {error}")
        return WRONG_USAGE


def _play(spec: RunSpec, beyond: list[str]) -> int:
    with target_for(spec) as target:
        status = locust_launcher.run(target.named_in(spec), beyond, cores=target.cores)
    if status != WRONG_USAGE:  # it has not begun, and the file is that of another run
        _write_page(Path(spec.out))
    return status


def _write_page(run_file: Path) -> None:
    """Write the run's page, if there is a file to read; say so where it cannot be written, as the verdict is known."""
    try:
        lines = read(run_file) if run_file.is_file() else []
        if lines:
            write_text(page_beside(run_file), page(lines))
            say(f" {page_beside(run_file)}")
    except (OSError, ValueError, Unwritable) as error:
        say(f"loadtest run: the page of the run is not written: {error}")


def _log_read(spec: RunSpec) -> RunSpec:
    """The spec with all that it takes to read the log of a replay; say how it is read."""
    if spec.scenario != "replay" or not spec.log or spec.speed <= 0:
        return spec  # the scenario says what is missing
    log, log_format = load_asking(Path(spec.log), LogFormat.of(spec), spec.speed)
    say(f"the log was read as {log.read_as}")
    return replace(spec, **asdict(log_format))
