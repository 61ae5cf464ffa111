"""Found by the service's Python in a run of `python -m soak` with `--leak` or `--trace`: plants a leak, and traces.

What tracemalloc counts is written to a file of the process in the folder that the run names, and reads. Between the
run's files `settled` and `over` the lines of code whose allocations grew most are found, for whoever looks for a leak.
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


def _note(path: str) -> None:
    Path(f"{path}.new").write_text(str(tracemalloc.get_traced_memory()[0]), "ascii")
    Path(f"{path}.new").replace(path)


class _Growth:
    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._settled: tracemalloc.Snapshot | None = None
        self._told = False

    def look(self) -> None:
        """Once settled keep what is there, once over write what grew since."""
        if self._settled is None and (self._folder / "settled").exists():
            self._settled = tracemalloc.take_snapshot()
        if self._settled is not None and not self._told and (self._folder / "over").exists():
            self._told = True
            grown = tracemalloc.take_snapshot().compare_to(self._settled, "lineno")
            lines = [f"{one.size_diff / 1024:+.0f} KB {one.count_diff:+} {one.traceback}" for one in grown[:LINES]]
            part = self._folder / f"{os.getpid()}.part"
            part.write_text("\n".join(lines), "utf-8")
            part.replace(self._folder / f"{os.getpid()}.growth")


def _probe() -> None:
    leak, trace, kept = float(os.environ.get("SOAK_LEAK", "0")), os.environ.get("SOAK_TRACE"), []
    growth = _Growth(trace or "")
    if trace:
        tracemalloc.start()
    while leak or trace:
        time.sleep(EVERY)
        if leak:
            _leak(leak, kept)
        if trace:
            _note(f"{trace}/{os.getpid()}.traced")
            growth.look()


threading.Thread(target=_probe, name="probe", daemon=True).start()
