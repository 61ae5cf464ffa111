"""`python -m loadtest ramp`: find the knee, the most players with which all gates hold."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from loadtest import access
from loadtest.cli.run import USELESS, WRONG_USAGE
from loadtest.judge.gates import Verdict
from loadtest.judge.knee_search import Knee, Outcome, Search
from loadtest.load import locust_launcher
from loadtest.load.run_target import target_for
from loadtest.plan import run_spec
from loadtest.plan.run_spec import RunSpec
from loadtest.plan.scenarios import SCENARIOS
from loadtest.report.console import say, tell
from loadtest.report.run_file import Unwritable, read
from loadtest.report.run_path import reserved, write_text
from loadtest.target.processes import ServiceFailed

RECORD: Final = "ramp.json"  # what was found, in the folder of the trials
FOUND, NOT_HELD, NOT_SURE = 0, 3, 4
DEFAULT_DURATION: Final = 10.0  # seconds, of each trial
_OUTCOMES: Final = {Verdict.PASS: Outcome.HELD, Verdict.FAIL: Outcome.MISSED, Verdict.INVALID: Outcome.SPOILED}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the description and options of the command to the parser."""
    parser.description = (
        "Find the most players with which a service holds its gates: double the number until a gate fails, narrow the "
        "gap, then repeat both ends until a sign test is sure of them. Each trial is a separate run. Exit status: "
        "0 found, 3 not even the smallest number holds, 4 not sure, or the generator was the limit."
    )
    parser.add_argument("--scenario", choices=[name for name in SCENARIOS if name != "replay"], default="steady")
    number = "number of players (default %(default)s)"
    parser.add_argument("--from", dest="least", type=int, default=50, help=f"smallest {number}")
    parser.add_argument("--to", dest="most", type=int, default=5000, help=f"largest {number}")
    parser.add_argument(
        "--resolution", type=float, default=0.1, help="final width of the gap, as a share (default 0.1: 10 %%)"
    )
    parser.add_argument("--confidence", type=float, default=0.95, help="required for both ends (default %(default)s)")
    parser.add_argument("--trials", type=int, default=60, help="maximum number of trials (default %(default)s)")
    # Each trial has its own number of players, file and session.
    run_spec.add_options(parser, without=("scenario", "players", "session", "out"))
    parser.add_argument("--out", type=Path, help="folder for the runs and ramp.json (default runs/<time>-ramp)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Search; return the exit status."""
    folder = options.out or Path(f"runs/{datetime.now(UTC):%Y%m%d-%H%M%S}-ramp")
    try:
        search = Search(options.least, options.most, options.resolution, options.confidence, options.trials)
        spec = locust_launcher.ready(
            RunSpec.from_options(options, players=options.most, duration=options.duration or DEFAULT_DURATION, out="")
        )
        access.use(spec.headers, spec.ca_file, spec.player_secret)
        with reserved(folder / RECORD), target_for(spec) as target:
            trials: list[dict[str, Any]] = []
            while (players := search.next()) is not None:
                out = folder / f"{len(trials) + 1:03}-{players}.jsonl"
                trial = target.named_in(replace(spec, players=players, out=str(out)))
                verdict, reason = _outcome(
                    out, locust_launcher.run(trial, options.beyond, cores=target.cores, quiet=True)
                )
                if reason.startswith("interrupted"):
                    break  # the user has seen enough
                search.tell(players, _OUTCOMES[verdict])
                trials.append({"players": players, "verdict": verdict.name, "file": out.name})
                say(f"{players:>6} players  {verdict.name:<8}{reason}")
    except USELESS as error:
        say(f"loadtest ramp: {error}")
        return WRONG_USAGE
    knee = search.knee
    found = {"holds": knee.holds, "fails": knee.fails, "sure": knee.sure, "byGenerator": knee.by_generator}
    record = {"gates": list(spec.gates), "confidence": options.confidence, "trials": trials, "knee": found}
    tell(sentence(knee, options.confidence))
    try:
        write_text(folder / RECORD, json.dumps(record, indent=1) + "\n")
        tell(f"{folder / RECORD}")
    except Unwritable as error:
        say(f"loadtest ramp: {error}")
    return status(knee)


def _outcome(trial: Path, status: int) -> tuple[Verdict, str]:
    """The verdict of a trial and the first reason; without a file that was written to its end, the exit status."""
    lines = read(trial) if trial.is_file() else []
    if lines and lines[-1]["kind"] == "result":
        return Verdict[lines[-1]["verdict"]], next(iter(lines[-1]["reasons"]), "")
    if status in set(Verdict):
        return Verdict(status), f"{trial} could not be written to its end"
    raise ServiceFailed(f"Locust ended with status {status} without writing the run, {trial}")


def status(knee: Knee) -> int:
    """The exit status for the knee that was found."""
    if knee.holds is None:
        return NOT_SURE if knee.by_generator or not knee.sure else NOT_HELD
    return FOUND if knee.sure and not knee.by_generator else NOT_SURE


def sentence(knee: Knee, confidence: float) -> str:
    """The result as one sentence."""
    sure = f"at {confidence:.0%} confidence" if knee.sure else "not sure: more --trials are needed"
    if knee.holds is None:
        return f"no number of players was found to hold the gates; {knee.fails} do not ({sure})"
    if knee.fails is None:
        return f"{knee.holds} players hold the gates; more were not tried ({sure})"
    if knee.by_generator:
        return f"{knee.holds} players hold the gates; with {knee.fails} the generator is the bottleneck ({sure})"
    return f"knee: {knee.holds} players hold the gates, {knee.fails} do not ({sure})"
