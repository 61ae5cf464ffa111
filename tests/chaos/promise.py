"""What an answer promises (docs/protocol.md, "The life of an answer"), as arithmetic.

All points are positive here and nobody resets, so a score only grows, and whether a frame includes an
update can be read from the sum. For each player in each frame of epoch e and version v, shared or
private (`…~…`), and in each rank and answer:

    Σ points of the updates told before it in e with a version ≤ v   ≤   the score shown   ≤   Σ points ever sent

Left: an update may be told more than once; in each epoch the lowest version told counts.
Right: in an epoch of one process alone, that process may hold a resend of which Redis has not told it that
it was counted elsewhere. There, each resend to another process may show once more; in a shared epoch none.

And a shared epoch has one board for each version, whoever shows it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter

EXAMPLES = 5  # of each kind of finding


class Told:
    """What one player was told in one epoch: points by version."""

    __slots__ = ("_sums", "_versions")

    def __init__(self) -> None:
        self._versions: list[int] = []
        self._sums: list[int] = []

    def add(self, version: int, points: int) -> None:
        """Count points from this version on; negative ones take back."""
        # Answers come nearly in order, so the tail is short.
        at = bisect_right(self._versions, version)
        self._versions.insert(at, version)
        self._sums.insert(at, self._sums[at - 1] if at else 0)
        for later in range(at, len(self._sums)):
            self._sums[later] += points

    def least(self, version: int) -> int:
        """The lowest score that a frame of this version may show."""
        at = bisect_right(self._versions, version)
        return self._sums[at - 1] if at else 0


class Findings:
    """Broken promises: how many of each kind, and some in words."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: list[str] = []
        self._told: Counter[str] = Counter()
        self._about: set[tuple[str, str]] = set()

    def add(self, kind: str, about: str, text: str) -> None:
        """Note one. Of those about the same thing the first one is told."""
        self.counts[kind] += 1
        if (kind, about) not in self._about and self._told[kind] < EXAMPLES:
            self._about.add((kind, about))
            self._told[kind] += 1
            self.examples.append(f"{kind}: {text}")
