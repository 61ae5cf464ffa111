"""Found by the service's Python in a run of `python -m soak` with `--leak` or `--trace`: plants a leak, and traces.

What tracemalloc counts is written to a file of the process in the folder that the run names, and reads. Between the
run's files `settled` and `over` the lines of code whose allocations grew most are found, for whoever looks for a leak.

Each path is made once: pathlib interns its parts, and their coming and going doubles the interpreter's table one day.
"""

import os
import threading
import time
import tracemalloc
from pathlib import Path

EVERY = 0.5  # seconds
LINES = 10  # of code, of those that grew


def _leak(megabytes_an_hour: float, kept: list[bytes]) -> None:
    kept.append(os.urandom(round(megabytes_an_hour * 1024 * 1024 / 3600 * EVERY)))


class _File:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._new = path.with_suffix(".new")

    def write(self, text: str) -> None:
        """Write all of it at once."""
        self._new.write_text(text, "utf-8")
        self._new.replace(self._path)


class _Trace:
    def __init__(self, folder: Path) -> None:
        self._signs = folder / "settled", folder / "over"
        self._traced = _File(folder / f"{os.getpid()}.traced")
        self._growth = _File(folder / f"{os.getpid()}.growth")
        self._settled: tracemalloc.Snapshot | None = None
        self._told = False
        tracemalloc.start()

    def note(self) -> None:
        """Write what there is; once settled keep where it is from, once over write what grew since."""
        self._traced.write(str(tracemalloc.get_traced_memory()[0]))
        settled, over = self._signs
        if self._settled is None and settled.exists():
            self._settled = tracemalloc.take_snapshot()
        if self._settled is not None and not self._told and over.exists():
            self._told = True
            grown = tracemalloc.take_snapshot().compare_to(self._settled, "lineno")
            lines = [f"{one.size_diff / 1024:+.0f} KB {one.count_diff:+} {one.traceback}" for one in grown[:LINES]]
            self._growth.write("\n".join(lines))


def _probe() -> None:
    leak, folder, kept = float(os.environ.get("SOAK_LEAK", "0")), os.environ.get("SOAK_TRACE"), []
    trace = _Trace(Path(folder)) if folder else None
    while leak or trace:
        time.sleep(EVERY)
        if leak:
            _leak(leak, kept)
        if trace:
            trace.note()


threading.Thread(target=_probe, name="probe", daemon=True).start()
