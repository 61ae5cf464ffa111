"""How much one connection may send, and one address. Pure: time is an argument, in seconds."""

from __future__ import annotations

from collections import deque

MAX_WRONG_IN_A_ROW = 100
MAX_LIMITED = 200
LIMITED_WINDOW = 10.0  # seconds
MAX_NETWORKS = 4096


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


class SlidingWindow:
    """Allows `most` events within any `seconds`."""

    __slots__ = ("_at", "_seconds")

    def __init__(self, most: int, seconds: float) -> None:
        self._seconds = seconds
        self._at: deque[float] = deque(maxlen=most)

    def wait(self, now: float) -> float:
        """The seconds until one more event is allowed, 0 if it is now."""
        full = len(self._at) == self._at.maxlen
        return max(self._at[0] + self._seconds - now, 0.0) if full else 0.0

    def add(self, now: float) -> None:
        """Count an event."""
        self._at.append(now)

    def is_over(self, now: float) -> bool:
        """Whether the last event is too long ago to count."""
        return self._at[-1] + self._seconds <= now


class WindowByNetwork:
    """A sliding window for each network that clients come from.

    Only networks with an event that still counts are kept, and no more than `MAX_NETWORKS`: of more, the one whose
    last event is longest ago is forgotten, since whoever has so many networks is bound by other limits.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._windows: dict[str, SlidingWindow] = {}  # by the time of their last event

    def __len__(self) -> int:
        return len(self._windows)

    def wait(self, network: str, now: float) -> float:
        """The seconds until one more event of the network is allowed, 0 if it is now."""
        window = self._windows.get(network)
        return 0.0 if window is None else window.wait(now)

    def add(self, network: str, now: float) -> None:
        """Count an event of the network."""
        window = self._windows.pop(network, None) or SlidingWindow(self._most, self._seconds)
        window.add(now)
        self._windows[network] = window
        while self._oldest().is_over(now) or len(self._windows) > MAX_NETWORKS:
            del self._windows[next(iter(self._windows))]

    def _oldest(self) -> SlidingWindow:
        return next(iter(self._windows.values()))
