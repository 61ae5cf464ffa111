"""The file of a run that is being written, line by line as it grows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loadtest.report.run_file import parse


class JsonlTail:
    """Each call of `lines` returns what was written since the last one; an unfinished last line is kept back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._at = 0
        self._rest = b""

    def lines(self) -> list[dict[str, Any]]:
        """The new lines; none while there is no file, or its folder is a file."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._at)
                new = file.read()
        except (FileNotFoundError, NotADirectoryError):
            return []
        self._at += len(new)
        whole, _, self._rest = (self._rest + new).rpartition(b"\n")
        return [parse(line) for line in whole.splitlines()]
