"""The file of a run, also on a disk that fills up."""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadtest.report.run_file import RunFile, Unwritable, read


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes: the kernel refuses, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_that_fills_up_leaves_whole_lines(tmp_path) -> None:
    """What does not fit is left out, line by line; the file says what it lacks, and goes on when there is room."""
    file = RunFile(tmp_path / "run.jsonl")
    file.begin({"session": "S"})
    with room_for((tmp_path / "run.jsonl").stat().st_size + 10):
        file.mark(1.0, "too long for what is left")
    file.mark(2.0, "there is room again")
    assert [line["kind"] for line in read(tmp_path / "run.jsonl")] == ["run", "mark"]
    assert read(tmp_path / "run.jsonl")[-1]["at"] == 2.0
    assert file.trouble == f"{tmp_path / 'run.jsonl'} lacks 1 lines of the run: File too large"


def test_a_file_that_takes_nothing_is_refused_at_its_first_line() -> None:
    """A device that is always full opens, so the first line finds out."""
    with pytest.raises(Unwritable, match=r"got /dev/full \(No space left on device\)"):
        RunFile(Path("/dev/full")).begin({})


def test_an_older_run_of_the_same_name_is_replaced(tmp_path) -> None:
    """Nothing of an earlier run is left in the file of a new one."""
    path = tmp_path / "run.jsonl"
    path.write_text("an earlier run\n" * 9)
    with RunFile(path) as file:
        file.begin({})
    assert len(read(path)) == 1


def test_half_a_line_at_the_end_is_left_out(tmp_path) -> None:
    """A run that is being written, or that was cut off, is read as far as its lines are whole."""
    path = tmp_path / "run.jsonl"
    path.write_text('{"kind":"run"}\n{"kind":"seco')
    assert read(path) == [{"kind": "run"}]


def test_a_byte_order_mark_is_no_part_of_a_run(tmp_path) -> None:
    """A file that an editor saved with a byte order mark is read as it was."""
    path = tmp_path / "run.jsonl"
    path.write_text(json.dumps({"kind": "run"}) + "\n", "utf-8-sig")
    assert read(path) == [{"kind": "run"}]
