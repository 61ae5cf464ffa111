"""Ask on a terminal how a log is to be read; anywhere else `Undecided` stays an error with the option that decides."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from loadtest.replay.log_format import LogFormat, Undecided, option
from loadtest.replay.score_log import ScoreLog, load


def load_asking(path: Path, known: LogFormat, speed: float | None) -> tuple[ScoreLog, LogFormat]:
    """The log, and the format by which it was read. Raises as `load` does; `Undecided` if nobody answers."""
    while True:
        try:
            return load(path, known, speed=speed), known
        except Undecided as undecided:
            if not sys.stdin.isatty() or (value := _answer(path, undecided)) is None:
                raise
            _say(f"taken: {option(undecided.field)} {value}\n")
            known = replace(known, **{undecided.field: value})


def _answer(path: Path, undecided: Undecided) -> str | None:
    """The value that the user chooses; None for none."""
    _say(f"{path}: {undecided.question}:\n")
    for number, choice in enumerate(undecided.choices, start=1):
        _say(f"  {number}  {choice.meaning} ({option(undecided.field)} {choice.value})\n")
    values = {str(number): choice.value for number, choice in enumerate(undecided.choices, start=1)}
    answer = "?"
    while answer and answer not in values:
        _say(f"Which one is right (1 to {len(values)}; Enter for none)? ")
        answer = sys.stdin.readline().strip()
    return values.get(answer)


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
