"""Keeps long-lived objects out of garbage collection.

A full collection visits every tracked object, which takes a hundred microseconds per open connection
(378 ms at 4000), and during that time nobody gets a board. Connections live long and are freed by
reference counting when they end, because nothing in this package keeps a cycle through one. So
they are *frozen*: moved to where the collector does not look. Before each freeze, only the objects
created since the last one are collected.
"""

from __future__ import annotations

import gc

WORTH_IT = 100  # connections opened since the last freeze


class GcFreezer:
    """Decides, once a second, whether to freeze."""

    def __init__(self) -> None:
        self._seen = 0  # connections opened before the last freeze
        self._frozen = False  # whether connections are among the frozen objects

    def begin(self) -> None:
        """Freeze the program itself; call when the service has started."""
        gc.collect()
        gc.freeze()

    def freeze_new(self, *, opened: int, open_now: int) -> None:
        """Freeze what is new, if worth it; `opened` counts all connections ever, `open_now` those open now."""
        if open_now == 0 and self._frozen:
            # Nobody is connected who would have to wait, so collect cycles that a library left behind.
            gc.unfreeze()
        elif opened - self._seen < WORTH_IT:
            return
        self.begin()
        self._seen = opened
        self._frozen = open_now > 0
