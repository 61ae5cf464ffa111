"""The file of a run.

`run.jsonl` has one JSON object per line, each with a `kind`:

- `run`, first: what ran where – arguments, versions, machine, target, session;
- `second`, one per second: `run_totals.Second`;
- `mark`, any number: what was done to the service or its players, and when (Unix seconds); for an injected fault also
  `until`, when the service had recovered (`judge.without_fault_seconds`);
- `result`, last: metrics, totals (`run_totals.Tally`) and the verdict.

Everything that shows a run – the page at the end, live charts, comparisons – reads these lines.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final, Self

from loadtest.judge.gates import Judgement
from loadtest.measure.run_totals import Second, Tally

FORMAT: Final = 1  # of the file; raised when a reader of the old format would misread the new one


class RunFile:
    """Writes a run as it happens; each line is on disk when the call returns."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file: IO[str] = path.open("w", encoding="utf-8")

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Write the first line."""
        self._write({"kind": "run", "format": FORMAT, **facts})

    def second(self, second: Second) -> None:
        """Write the line of one second."""
        self._write({"kind": "second", **second.to_dict()})

    def mark(self, at: float, text: str) -> None:
        """Record what was done to the service or to its players."""
        self._write({"kind": "mark", "at": round(at, 3), "text": text})

    def end(self, tally: Tally, metrics: Mapping[str, float | None], judgement: Judgement) -> None:
        """Write the last line and close the file."""
        self._write({"kind": "result", **judgement.to_dict(), "metrics": dict(metrics), "totals": tally.to_dict()})
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n")
        self._file.flush()


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a run, which may still be in progress: an unfinished last line is left out."""
    text = path.read_text("utf-8")
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
