from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loadtest.replay.log_format import LogFormat, Undecided
from loadtest.replay.log_question import load_asking

MILLISECONDS = "time,userId,username,points\n1767225600000,a,A,5\n1767225601500,b,B,6\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log whose times may be seconds or milliseconds."""
    file = tmp_path / "log.csv"
    file.write_text(MILLISECONDS)
    return file


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Make stdin a terminal at which somebody types; ends of input are typed as Ctrl-D."""
    keyboard, terminal = os.openpty()
    with os.fdopen(terminal, encoding="utf-8") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield lambda keys: os.write(keyboard, keys.encode())  # type: ignore[func-returns-value]
    os.close(keyboard)


def test_a_question_is_asked_on_a_terminal(log, on_terminal, capsys) -> None:
    """Each reading is shown with what it makes of the log; a wrong key asks again; the option is named at the end."""
    on_terminal("3\n2\n")
    read, log_format = load_asking(log, LogFormat(), 1.0)
    assert [row.time - read.rows[0].time for row in read.rows] == [0, pytest.approx(1.5)]
    assert log_format == LogFormat(time_unit="ms")
    asked = capsys.readouterr().err
    assert "1  seconds: the log lasts 25 min (--time-unit s)" in asked
    assert "2  milliseconds: the log lasts 1.5 s (--time-unit ms)" in asked
    assert asked.count("Which one is right") == 2
    assert asked.endswith("taken: --time-unit ms\n")


def test_two_questions_are_asked_one_after_the_other(log, on_terminal) -> None:
    """What was answered stays answered."""
    log.write_text(MILLISECONDS.replace("5\n", '"1,000"\n'))
    on_terminal("1\n2\n")
    read, log_format = load_asking(log, LogFormat(), 1.0)
    assert log_format == LogFormat(decimal="point", time_unit="ms")
    assert [row.points for row in read.rows] == [1000, 6]


@pytest.mark.parametrize("keys", ["\n", "\x04"])
def test_no_answer_is_a_refusal(log, on_terminal, keys) -> None:
    """Enter, or the end of the input, leaves the log unread."""
    on_terminal(keys)
    with pytest.raises(Undecided):
        load_asking(log, LogFormat(), 1.0)


def test_without_a_terminal_nothing_is_asked(log, monkeypatch, capsys) -> None:
    """In a pipe the log is refused with both options, even if the pipe holds an answer."""
    monkeypatch.setattr("sys.stdin", io.StringIO("2\n"))
    with pytest.raises(Undecided, match=r"use --time-unit s \(.*\) or --time-unit ms \("):
        load_asking(log, LogFormat(), 1.0)
    assert capsys.readouterr().err == ""
