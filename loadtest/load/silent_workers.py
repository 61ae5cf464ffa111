"""Generator processes that their leader does not hear of: told at once, and given up after a while.

Locust notices after some heartbeats that a worker is missing, in a line of its log that nobody sees. A minute later it
would start the worker's players elsewhere, in the middle of the measurement: by then the run has to be over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

LOST_AFTER: Final = 15.0  # seconds without a word after Locust has noticed


class SilentWorkers:
    """The workers of a master that are silent now, and since when; `missing` gives those that Locust misses."""

    def __init__(self, missing: Callable[[], set[str]]) -> None:
        self._missing = missing
        self._since: dict[str, float] = {}

    def look(self, now: float) -> Iterator[tuple[str, str]]:
        """Yield each worker that has fallen silent, or is back, since the last look, and what is to be said of it."""
        silent = self._missing()
        for worker in sorted(silent - self._since.keys()):
            self._since[worker] = now
            yield worker, "is not heard of any more"
        for worker in sorted(self._since.keys() - silent):
            del self._since[worker]
            yield worker, "is back"

    def lost(self, now: float) -> set[str]:
        """Those that have been silent for so long that nothing is expected from them."""
        return {worker for worker, since in self._since.items() if now - since > LOST_AFTER}
