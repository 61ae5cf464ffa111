"""`python -m loadtest compare A B`: whether B is slower than A, and with what confidence."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from loadtest.judge.comparison import MetricComparison, compare, doubts
from loadtest.report.console import say, tell
from loadtest.report.run_file import read, runs_in

NOT_WORSE, WRONG_USAGE, WORSE = 0, 2, 3


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the description and options of the command to the parser."""
    parser.description = (
        "Compare two sets of runs, preferably interleaved: A B B A A B B A A B. The run is the unit; ratios are B to A "
        "with a 95 % bootstrap interval. INVALID and unfinished runs are left out. Exit status: 0 if B is not shown "
        "to be worse, 3 if it is, 2 if there is nothing to compare."
    )
    parser.add_argument("a", type=Path, metavar="A", help="the file of a run, or a folder of runs")
    parser.add_argument("b", type=Path, metavar="B", help="the file of a run, or a folder of runs")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compare; return the exit status."""
    groups = []
    for path in (options.a, options.b):
        runs, left_out = load(path)
        for line in left_out:
            say(f"left out: {line}")
        if not runs:
            say(f"loadtest compare: {path}: expected at least one judged run, got none")
            return WRONG_USAGE
        groups.append(runs)
    heads, results = ([[one[place] for one in group] for group in groups] for place in (0, -1))
    rows = compare(*results)
    tell(page(rows, len(groups[0]), len(groups[1]), doubts(*heads)))
    return WORSE if any(row.verdict == "worse" and row.counts for row in rows) else NOT_WORSE


def load(path: Path) -> tuple[list[list[dict[str, Any]]], list[str]]:
    """The judged runs in a file or folder, and why each of the others was left out."""
    runs, left_out = [], []
    try:
        files = runs_in(path)
    except OSError as error:
        return [], [f"{path}: {error.strerror}"]
    for file in files:
        try:
            lines = read(file)
            if not lines or lines[-1]["kind"] != "result":
                left_out.append(f"{file}: the run did not end")
            elif lines[-1]["verdict"] == "INVALID":
                left_out.append(f"{file}: INVALID, {lines[-1]['reasons'][0]}")
            else:
                runs.append(lines)
        except (OSError, ValueError, KeyError, TypeError) as error:
            left_out.append(f"{file}: not the file of a run ({getattr(error, 'strerror', None) or error})")
    return runs, left_out


def page(rows: list[MetricComparison], a: int, b: int, warnings: list[str]) -> str:
    """The comparison as text."""
    head = f" {'B to A':<24}{f'A (n={a})':>12}{f'B (n={b})':>12}{'ratio':>8}   95 %"
    lines = ["", head, " " + "─" * 74]
    for row in rows:
        interval = "–" if row.interval is None else f"{row.interval[0]:.3f}–{row.interval[1]:.3f}"
        lines.append(
            f" {row.metric.name:<23} {row.metric.text(row.a):>12} {row.metric.text(row.b):>11} {row.ratio:>7.3f}   "
            f"{interval:<13} {row.verdict}"
        )
        if row.least is not None:
            ours, theirs = map(row.metric.text, row.least)
            lines.append(f" {'  at least':<23} {ours:>12} {theirs:>11}")
    return "\n".join([*lines, "", *(f" warning: {warning}" for warning in warnings), ""])
