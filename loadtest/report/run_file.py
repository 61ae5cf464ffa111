"""The file of a run.

Whatever its name, it has one JSON object per line, each with a `kind`:

- `run`, first: what ran where – arguments, versions, machine, target, session;
- `second`, one per second: `run_totals.Second`;
- `mark`, any number: what was done to the service or its players, and when (Unix seconds); for an injected fault also
  `until`, when the service had recovered (`judge.without_fault_seconds`);
- `result`, last: metrics, totals (`run_totals.Tally`) and the verdict.

Everything that shows a run – the page at the end, live charts, comparisons – reads these lines.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self

from loadtest.judge.gates import Judgement
from loadtest.measure.metrics import UNBOUNDED, lower_bounds
from loadtest.measure.run_totals import Second, Tally

FORMAT: Final = 1  # of the file; raised when a reader of the old format would misread the new one
LONGEST_FIRST_LINE: Final = 1 << 20  # bytes; one has about a thousand, more with many addresses


class Unwritable(Exception):
    """A file cannot be written; the text says which, and why."""


class RunFile:
    """Writes a run as it happens; each line is on disk when the call returns.

    Raises `Unwritable` from the start and the first line. What cannot be written later, when a disk is full, does not
    end a run that is measured: `trouble` says what the file lacks.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open_alone(path)
        self._size = 0
        self._lost = 0
        self._reason = ""
        with contextlib.suppress(OSError):  # a device has no end
            os.ftruncate(self._file, 0)

    @property
    def trouble(self) -> str:
        """What the file lacks and why, in one sentence; empty if it is whole."""
        return f"{self.path} lacks {self._lost} lines of the run: {self._reason}" if self._lost else ""

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Write the first line. Raises `Unwritable`."""
        self._write({"kind": "run", "format": FORMAT, **facts})
        if self._lost:
            self._close()
            raise unwritable(self.path, self._reason)

    def second(self, second: Second) -> None:
        """Write the line of one second."""
        self._write({"kind": "second", **second.to_dict()})

    def mark(self, at: float, text: str) -> None:
        """Record what was done to the service or to its players."""
        self._write({"kind": "mark", "at": round(at, 3), "text": text})

    def end(self, tally: Tally, metrics: Mapping[str, float | None], judgement: Judgement) -> None:
        """Write the last line and close the file."""
        figures = {"metrics": dict(metrics), "atLeast": lower_bounds(tally)}
        self._write({"kind": "result", **judgement.to_dict(), **figures, "totals": tally.to_dict()})
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _write(self, line: Mapping[str, Any]) -> None:
        text = written(line)
        try:
            self._size += _write_all(self._file, text.encode())
        except OSError as error:
            self._lost += 1
            self._reason = error.strerror or str(error)
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)  # half a line would spoil the next one

    def _close(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            with contextlib.suppress(OSError):
                os.close(file)


def open_alone(path: Path, *, new: bool = False) -> int:
    """Open a file for appending, and its folder, as the only process that does; return the descriptor.

    Raises `Unwritable`, and FileExistsError if it has to be `new`.
    """
    # Without O_NONBLOCK a named pipe would wait for its reader.
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | (os.O_EXCL if new else 0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, f"its folder: {error.strerror}") from None
    try:
        file = os.open(path, flags, 0o666)
    except FileExistsError:
        raise
    except OSError as error:
        raise unwritable(path, error.strerror or str(error)) from None
    try:
        if stat.S_ISREG(os.fstat(file).st_mode):  # a device is there for all
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise unwritable(path, "another run is writing it") from None
    except OSError:
        pass  # a file system without locks
    return file


def unwritable(path: Path, reason: str) -> Unwritable:
    """The error for a path that cannot be written."""
    return Unwritable(f"expected a file that can be written, got {path} ({reason})")


def _write_all(file: int, data: bytes) -> int:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
    return len(data)


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a run, which may still be in progress: an unfinished last line is left out."""
    text = path.read_text("utf-8-sig")  # editors put a byte order mark before it
    return [parse(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def parse(text: str | bytes) -> dict[str, Any]:
    """One line of a run. Raises ValueError for what is no JSON."""
    return _with_figures(json.loads(text), lambda value: math.inf if value == UNBOUNDED else value)


def written(line: Mapping[str, Any]) -> str:
    """The line as it is in the file. JSON has no infinity: such a time is a word there."""
    plain = _with_figures(line, lambda value: UNBOUNDED if value == math.inf else value)
    return json.dumps(plain, separators=(",", ":"), allow_nan=False) + "\n"


def _with_figures(line: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    changed = dict(line)
    for name in ("metrics", "atLeast"):  # the latter is missing in older files
        if isinstance(values := line.get(name), Mapping):
            changed[name] = {metric: change(value) for metric, value in values.items()}
    return changed


def runs_in(path: Path) -> list[Path]:
    """The files of runs in a folder; a path that is no folder is itself.

    A run may have any name (`--out rate-0.5`), so its first line decides; a damaged one is known by its `.jsonl`.
    Raises OSError for a folder that cannot be read.
    """
    if not is_folder(path):
        return [path]
    return [file for file in sorted(path.iterdir()) if file.is_file() and (file.suffix == ".jsonl" or _begins(file))]


def is_folder(path: Path) -> bool:
    """Whether it is a folder that this process can reach."""
    with contextlib.suppress(PermissionError):  # of a folder above
        return path.is_dir()
    return False


def _begins(file: Path) -> bool:
    """Whether the first line is that of a run."""
    try:
        with file.open("rb") as opened:
            return bool(json.loads(opened.readline(LONGEST_FIRST_LINE).decode("utf-8-sig"))["kind"] == "run")
    except (OSError, ValueError, KeyError, TypeError):
        return False
