"""Found by the service's Python in a run of `python -m soak` with `--leak` or `--trace`: plants a leak, and traces.

What tracemalloc counts is written to a file of the process in the folder that the run names, and reads.
"""

import os
import threading
import time
import tracemalloc
from pathlib import Path

EVERY = 0.5  # seconds


def _leak(megabytes_an_hour: float, kept: list[bytes]) -> None:
    kept.append(os.urandom(round(megabytes_an_hour * 1024 * 1024 / 3600 * EVERY)))


def _note(path: str) -> None:
    Path(f"{path}.new").write_text(str(tracemalloc.get_traced_memory()[0]), "ascii")
    Path(f"{path}.new").replace(path)


def _probe() -> None:
    leak, trace, kept = float(os.environ.get("SOAK_LEAK", "0")), os.environ.get("SOAK_TRACE"), []
    if trace:
        tracemalloc.start()
    while leak or trace:
        time.sleep(EVERY)
        if leak:
            _leak(leak, kept)
        if trace:
            _note(f"{trace}/{os.getpid()}")


threading.Thread(target=_probe, name="probe", daemon=True).start()
