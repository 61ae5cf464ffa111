"""How often the same thing may be logged. Pure: time is an argument, in seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Final

EVERY: Final = 10.0  # seconds between two lines of one kind


class LineBudget:
    """Allows one line of a kind in `every` seconds and counts those that are left out.

    Kinds come from a fixed set, never from a client: each takes memory.
    """

    def __init__(self, every: float = EVERY) -> None:
        self._every = every
        self._written: dict[Hashable, float] = {}  # when the last line of a kind was
        self._unsaid: Counter[Hashable] = Counter()  # how many were left out since

    def more(self, kind: Hashable, now: float) -> str | None:
        """What to add to the line that is due, which is how many were left out; None: this one is left out, too."""
        written = self._written.get(kind)
        if written is not None and now - written < self._every:
            self._unsaid[kind] += 1
            return None
        self._written[kind] = now
        unsaid = self._unsaid.pop(kind, 0)
        return f" (and {unsaid} more since the last such line)" if unsaid else ""
