"""How much one connection may send, as pure arithmetic: time comes in as an argument, in seconds."""

from __future__ import annotations

from collections import deque

MAX_WRONG_IN_A_ROW = 100
MAX_LIMITED = 200
LIMITED_WINDOW = 10.0  # seconds


class TokenBucket:
    """`rate` frames a second, `burst` at once."""

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float) -> float:
        """Take one token and return 0, or take none and return the seconds until there is one."""
        # A clock that steps back gives nothing and takes nothing.
        self._tokens = min(self.burst, self._tokens + max(now - self._at, 0.0) * self.rate)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self.rate


class Patience:
    """How often a client may be wrong or too fast before its connection ends."""

    __slots__ = ("_limited", "_wrong")

    def __init__(self) -> None:
        self._wrong = 0
        self._limited: deque[float] = deque()

    def right(self) -> None:
        """A right frame came: the row of wrong ones is broken."""
        self._wrong = 0

    def wrong(self) -> bool:
        """A wrong frame came; True when it is one too many."""
        self._wrong += 1
        return self._wrong > MAX_WRONG_IN_A_ROW

    def limited(self, now: float) -> bool:
        """A frame came too fast; True when it is one too many within the window."""
        self._limited.append(now)
        while self._limited[0] <= now - LIMITED_WINDOW:
            self._limited.popleft()
        return len(self._limited) > MAX_LIMITED
