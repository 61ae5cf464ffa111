"""Where a run is written: the file that `--out` names, or a new one in a folder, and the page beside it."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from loadtest.report.run_file import is_folder, open_alone, unwritable


def reserve(out: str, scenario: str) -> Path:
    """The file for a run, which can be written: the one named, or a new one in the folder named (default runs/).

    Raises `Unwritable`. A file that the run does not fill is for `release`.
    """
    path = Path(out or "runs")
    if out and not out.endswith(os.sep) and not is_folder(path):
        os.close(open_alone(path))
        return path
    return _new(path, f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{scenario}")


def release(path: Path) -> None:
    """Remove the file that was reserved, if nothing was written to it."""
    if path.is_file() and not path.stat().st_size:
        path.unlink()


@contextlib.contextmanager
def reserved(path: Path) -> Iterator[None]:
    """Keep others from writing the file, which can be written, while this lasts. Raises `Unwritable`."""
    file = open_alone(path)
    try:
        yield
    finally:
        os.close(file)
        release(path)


def write_text(path: Path, text: str) -> None:
    """Write a whole file. Raises `Unwritable`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise unwritable(path, error.strerror or str(error)) from None


def page_beside(run: Path) -> Path:
    """The page of a run: `rate-0.5.html` for `rate-0.5`, and for `rate-0.5.jsonl`."""
    return run.with_name(run.name.removesuffix(".jsonl") + ".html")


def _new(folder: Path, name: str) -> Path:
    """Create a file there that no other run has, however many begin in the same second."""
    for number in itertools.count(1):
        path = folder / (f"{name}.jsonl" if number == 1 else f"{name}-{number}.jsonl")
        try:
            os.close(open_alone(path, new=True))
        except FileExistsError:
            continue
        return path
    raise AssertionError
