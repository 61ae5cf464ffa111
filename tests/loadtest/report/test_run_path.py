"""Where a run and its page are written."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest.report.run_file import RunFile, Unwritable
from loadtest.report.run_path import page_beside, release, reserve, reserved, write_text

NOBODY = 65534


def test_runs_of_the_same_second_have_files_of_their_own(tmp_path) -> None:
    """Without a name of its own, each run gets a file that no other run has."""
    assert len({reserve(str(tmp_path), "steady") for _ in range(5)}) == 5
    assert len(list(tmp_path.glob("*-steady*.jsonl"))) == 5


@pytest.mark.parametrize("name", ["there", "new/"])
def test_a_folder_means_a_run_in_it(tmp_path, name) -> None:
    """A folder that exists, or a name that ends in a slash, gets a new file with the scenario in its name."""
    (tmp_path / "there").mkdir()
    run = reserve(f"{tmp_path}/{name}", "burst")
    assert run.parent == tmp_path / name
    assert run.name.endswith("-burst.jsonl")


def test_a_name_is_kept_whole(tmp_path) -> None:
    """What is named is written, and two names that differ behind a dot have different pages."""
    runs = [reserve(str(tmp_path / name), "steady") for name in ("rate-0.5", "rate-0.7", "a.jsonl")]
    assert [run.name for run in runs] == ["rate-0.5", "rate-0.7", "a.jsonl"]
    assert [page_beside(run).name for run in runs] == ["rate-0.5.html", "rate-0.7.html", "a.html"]


def test_a_file_is_written_by_one_run(tmp_path) -> None:
    """A file that a run is writing is refused to another one, and free again when the run has ended."""
    path = tmp_path / "a.jsonl"
    with RunFile(path), pytest.raises(Unwritable, match="another run is writing it"):
        reserve(str(path), "steady")
    with reserved(path), pytest.raises(Unwritable, match="another run is writing it"):
        RunFile(path)
    assert reserve(str(path), "steady") == path


def test_a_file_that_stayed_empty_is_removed(tmp_path) -> None:
    """A refused run leaves no file, and the file of an earlier run stays."""
    new, old = tmp_path / "new.jsonl", tmp_path / "old.jsonl"
    old.write_text("{}\n")
    for path in (new, old):
        release(reserve(str(path), "steady"))
    assert not new.exists()
    assert old.read_text() == "{}\n"


def test_what_cannot_be_written_is_named(tmp_path) -> None:
    """A folder in place of a file, a file in place of a folder and a pipe without a reader: each is said at once."""
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "file" / "run.jsonl", tmp_path / "pipe"):
        with pytest.raises(Unwritable, match=f"expected a file that can be written, got {path} "):
            reserve(str(path), "steady")
    with pytest.raises(Unwritable, match="Is a directory"):
        write_text(tmp_path, "page")
    with pytest.raises(Unwritable, match=r"got /dev/full \(No space left on device\)"):
        write_text(Path("/dev/full"), "page")


@contextlib.contextmanager
def without_privilege() -> Iterator[None]:
    """Be nobody for a while, where this is root, whom permissions do not stop."""
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(NOBODY)
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture(params=["in reach", "out of reach"])
def forbidden(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder in which nobody may write, below one that everybody, or nobody else, may enter."""
    with tempfile.TemporaryDirectory() as above:
        folder = Path(above) / "there"
        folder.mkdir(mode=0o555)
        Path(above).chmod(0o755 if request.param == "in reach" else 0o600)
        yield folder
        Path(above).chmod(0o755)


def test_a_folder_without_permission_is_named(forbidden) -> None:
    """A run in it, a file in it, a folder in it, a ramp's record and a page: each is said at once."""
    outs = (str(forbidden), f"{forbidden}/", f"{forbidden}/a.jsonl", f"{forbidden}/new/a.jsonl")
    attempts = [functools.partial(reserve, out, "steady") for out in outs]
    attempts += [
        reserved(forbidden / "ramp.json").__enter__,
        functools.partial(write_text, forbidden / "a.html", "page"),
    ]
    with without_privilege():
        for attempt in attempts:
            with pytest.raises(Unwritable, match=rf"got {forbidden}.* \((its folder: )?Permission denied\)"):
                attempt()
    forbidden.parent.chmod(0o755)
    assert not list(forbidden.iterdir())
