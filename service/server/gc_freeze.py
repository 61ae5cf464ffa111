"""Keeps what lives long out of the garbage collector's way.

A full collection looks at every tracked object, a hundred microseconds for each open connection
(378 ms at 4000), and while it does, nobody gets a board. Connections live long and are freed by
reference counting when they end, because nothing in this package keeps a cycle through one. So
they are *frozen*: moved to where the collector does not look. What is collected before each freeze
is only what came since the last one.
"""

from __future__ import annotations

import gc

WORTH_IT = 100  # connections opened since the last freeze


class GcFreezer:
    """Decides, once a second, whether to freeze."""

    def __init__(self) -> None:
        self._seen = 0  # connections that had been opened at the last freeze
        self._frozen = False  # whether there are connections among what is frozen

    def begin(self) -> None:
        """Freeze the program itself; call when the service has started."""
        gc.collect()
        gc.freeze()

    def freeze_new(self, *, opened: int, open_now: int) -> None:
        """Freeze what came since the last time; `opened` counts all connections ever, `open_now` those that live."""
        if open_now == 0 and self._frozen:
            # Nobody is here to wait, so a cycle that some library left behind is looked for now.
            gc.unfreeze()
        elif opened - self._seen < WORTH_IT:
            return
        self.begin()
        self._seen = opened
        self._frozen = open_now > 0
