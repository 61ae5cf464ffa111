"""How late the event loop is: what keeps it busy keeps every socket waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

EVERY_SECONDS: Final = 0.1


class LoopLag:
    """Asks to be called back ten times a second, and gives `observe` the seconds that each call is late."""

    def __init__(self, observe: Callable[[float], None]) -> None:
        self._observe = observe
        self._due = 0.0
        self._next: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to measure the running loop."""
        # Not the loop's own clock: it stands still while the loop is busy.
        self._due = time.monotonic() + EVERY_SECONDS
        self._next = asyncio.get_running_loop().call_later(EVERY_SECONDS, self._called)

    def stop(self) -> None:
        """Measure no more."""
        if self._next is not None:
            self._next.cancel()

    def _called(self) -> None:
        self._observe(max(0.0, time.monotonic() - self._due))
        self.start()
