"""`python -m loadtest report RUN`: the run as one HTML page."""

from __future__ import annotations

import argparse
from pathlib import Path

from loadtest.judge.without_fault_seconds import judge_outside_faults
from loadtest.report.console import say, tell
from loadtest.report.html import page
from loadtest.report.run_file import Unwritable, read
from loadtest.report.run_path import page_beside, write_text
from loadtest.report.text import outside_faults

DONE, WRONG_USAGE = 0, 2


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the description and options of the command to the parser."""
    parser.description = (
        "Write a run – finished, in progress or cut short – as one self-contained HTML page. "
        "For a run with injected faults, also print the verdict outside the faults. "
        "Exit status: 0, or 2 if the file is not a run or the page cannot be written."
    )
    parser.add_argument("run_file", type=Path, metavar="RUN", help="the file of the run")
    parser.add_argument("--out", type=Path, help="the page (default: next to the run, .html)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the page; return the exit status."""
    try:
        lines = read(options.run_file)
        html, outside = page(lines), judge_outside_faults(lines)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        say(f"loadtest report: {options.run_file}: expected the file of a run ({reason})")
        return WRONG_USAGE
    if outside is not None:
        tell(outside_faults(outside))
    out = options.out or page_beside(options.run_file)
    try:
        write_text(out, html)
    except Unwritable as error:
        say(f"loadtest report: {error}")
        return WRONG_USAGE
    tell(f"{out}")
    return DONE
