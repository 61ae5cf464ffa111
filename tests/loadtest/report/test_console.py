"""What is printed arrives, whatever stdout is."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.report import console

PROGRAM = """
import sys
from loadtest.report.console import make_printable, tell
make_printable()
tell("━ 5 → 6 × 7 ≥ 8 – ユ 9")
sys.exit(3)
"""


def printed(stdout: int, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """What a program prints that ends with status 3."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], stdout=stdout, stderr=subprocess.PIPE, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.starts_process
@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii", "utf-8"])
def test_every_encoding_has_the_figures(encoding) -> None:
    """A sign that the encoding lacks is written as one that looks like it, and the exit status is kept."""
    ended = printed(subprocess.PIPE, PYTHONIOENCODING=encoding)
    text = ended.stdout.decode(encoding)
    assert (ended.returncode, ended.stderr) == (3, b"")
    for figure in "56789":
        assert figure in text
    if encoding == "ascii":
        assert text == "= 5 -> 6 x 7 >= 8 - \\u30e6 9\n"


@pytest.mark.starts_process
def test_a_stdout_that_takes_nothing_changes_no_exit_status() -> None:
    """On a full disk, and into a pipe that nobody reads, the text goes to stderr and the exit status is kept."""
    reader, writer = os.pipe()
    os.close(reader)
    full = os.open("/dev/full", os.O_WRONLY)
    for stdout in (full, writer):
        ended = printed(stdout, PYTHONIOENCODING="utf-8")
        assert (ended.returncode, ended.stderr.decode()) == (3, "━ 5 → 6 × 7 ≥ 8 – ユ 9\n")
        os.close(stdout)


class Terminal(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_a_line_is_rewritten_where_the_terminal_can(monkeypatch) -> None:
    """A line in place takes one row of the terminal, the last is whole; a dumb terminal shows control codes."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("TERM", "xterm")
    assert console.rewrites_lines()
    console.rewrite("a line that is longer than that")
    assert terminal.getvalue() == "\r\x1b[Ka line that is long"
    console.rewrite("the last line is longer than that, too", end="\n")
    assert terminal.getvalue().endswith("\r\x1b[Kthe last line is longer than that, too\n")
    monkeypatch.setenv("TERM", "dumb")
    assert not console.rewrites_lines()


def test_no_command_writes_past_the_console() -> None:
    """Every command prints through `console`, so none of them ends in a traceback on some stdout."""
    loadtest = Path(console.__file__).parents[1]
    files = [
        *loadtest.glob("cli/*.py"),
        *loadtest.glob("load/*.py"),
        loadtest / "__main__.py",
        loadtest / "locustfile.py",
    ]
    writers = [file.name for file in files if "sys.stdout" in file.read_text() or "sys.stderr" in file.read_text()]
    assert writers == []
