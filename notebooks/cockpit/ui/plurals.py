"""Numbers in sentences."""

from __future__ import annotations

from collections.abc import Sequence


def noun(count: float, one: str) -> str:
    """Return `one` in singular or plural, for `count` as it is shown, rounded: `player`, `players`."""
    return one if round(count) == 1 else f"{one}s"


def listed(names: Sequence[str]) -> str:
    """`Alice`, `Alice and Bob`, `Alice, Bob and Charlie`."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)
