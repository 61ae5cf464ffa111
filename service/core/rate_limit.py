"""How much one connection may send. Pure: time is an argument, in seconds."""

from __future__ import annotations

from collections import deque

MAX_WRONG_IN_A_ROW = 100
MAX_LIMITED = 200
LIMITED_WINDOW = 10.0  # seconds


class TokenBucket:
    """Allows `rate` frames a second, `burst` at once."""

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float) -> float:
        """Take a token and return 0; if there is none, return the seconds until there is one."""
        # A clock that steps back neither adds nor removes tokens.
        self._tokens = min(self.burst, self._tokens + max(now - self._at, 0.0) * self.rate)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self.rate


class Patience:
    """Counts wrong and too fast frames, until the connection must end."""

    __slots__ = ("_limited", "_wrong")

    def __init__(self) -> None:
        self._wrong = 0
        self._limited: deque[float] = deque()

    def right(self) -> None:
        """Record a valid frame, which ends a run of wrong ones."""
        self._wrong = 0

    def wrong(self) -> bool:
        """Record a wrong frame; return whether it is one too many."""
        self._wrong += 1
        return self._wrong > MAX_WRONG_IN_A_ROW

    def limited(self, now: float) -> bool:
        """Record a frame that came too fast; return whether it is one too many within the window."""
        self._limited.append(now)
        while self._limited[0] <= now - LIMITED_WINDOW:
            self._limited.popleft()
        return len(self._limited) > MAX_LIMITED
