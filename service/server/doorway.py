"""The connections of one event loop that are not WebSockets yet: their turns, and how many there may be.

Two rules keep a crowd of them, honest or not, from holding the loop. In one iteration of the loop only so many of
them go on; the others queue. And there is a bound on their number: beyond it, the one that has been silent longest
goes, and while none has been silent for `GRACE`, newcomers wait in the kernel's queue.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Final, Protocol
from weakref import WeakKeyDictionary

AT_ONCE: Final = 4  # connections that go on in one iteration of the loop
MOST: Final = 2000  # connections that are not WebSockets yet
LEAST: Final = 16
SHARE_OF_FILES: Final = 32  # where few files may be opened: one in so many
GRACE: Final = 2.0  # seconds for which a newcomer may be silent, however many wait
LEAST_GRACE: Final = 0.25  # the same where there are few places

log = logging.getLogger("leaderboard.http")


class Newcomer(Protocol):
    """A connection that is not a WebSocket yet."""

    def may_go(self) -> bool:
        """Whether nothing is being done for it: it says nothing, or does not read its answer."""
        ...

    def let_go(self) -> None:
        """End it at once."""
        ...


class Doorway:
    """Newcomers of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int | None = None) -> None:
        self.most = _most_of_this_process() if most is None else most
        self.refused: Counter[int] = Counter()  # requests that got no further, by status
        self._loop = loop
        self._now_most = self.most
        self._inside: OrderedDict[Newcomer, float] = OrderedDict()
        self._queue: deque[Callable[[], None]] = deque()
        self._left = AT_ONCE
        self._counting = False

    def __len__(self) -> int:
        return len(self._inside)

    def enter(self, newcomer: Newcomer) -> None:
        """Count a connection."""
        self._inside[newcomer] = self._loop.time()

    def went_on(self, newcomer: Newcomer) -> None:
        """Note that the connection said or took something whole: it is the last one to be let go."""
        if newcomer in self._inside:
            self._inside.move_to_end(newcomer)
            self._inside[newcomer] = self._loop.time()

    def leave(self, newcomer: Newcomer) -> None:
        """Forget a connection that ended or became a WebSocket."""
        self._inside.pop(newcomer, None)

    def has_room(self, arriving: int = 0) -> bool:
        """Whether one more may come, besides so many that arrive already; lets a silent one go for it."""
        self._now_most = min(self._now_most + 1, self.most)
        return len(self._inside) + arriving < self._now_most or self.make_room()

    def make_room(self) -> bool:
        """Let the connection go that has been silent longest, if it was for long enough; return whether one went."""
        before = self._loop.time() - max(LEAST_GRACE, GRACE * self.most / MOST)
        for newcomer, since in self._inside.items():
            if since > before:
                return False
            if newcomer.may_go():
                del self._inside[newcomer]
                newcomer.let_go()
                log.info(
                    "let a connection go that was silent: %d are open that are no WebSockets yet",
                    self.most,
                    extra={"event": "connections-full"},
                )
                return True
        return False

    def shrink(self) -> None:
        """There are too many for this process, which may open no more files; the number grows again one by one."""
        self._now_most = max(LEAST, len(self._inside) * 3 // 4)
        self.make_room()

    def turn(self, go_on: Callable[[], None]) -> None:
        """Call it, now or in its turn."""
        if self._left and not self._queue:
            self._left -= 1
            self._count()
            go_on()
        else:
            self._queue.append(go_on)
            self._count()

    def _count(self) -> None:
        if not self._counting:
            self._counting = True
            self._loop.call_soon(self._next_iteration)

    def _next_iteration(self) -> None:
        self._counting = False
        self._left = AT_ONCE
        while self._queue and self._left:
            self._left -= 1
            self._queue.popleft()()
        if self._left < AT_ONCE:
            self._count()


_DOORWAYS: WeakKeyDictionary[asyncio.AbstractEventLoop, Doorway] = WeakKeyDictionary()


def doorway_of(loop: asyncio.AbstractEventLoop) -> Doorway:
    """The doorway of the loop, whose turns all its servers share."""
    if loop not in _DOORWAYS:
        _DOORWAYS[loop] = Doorway(loop)
    return _DOORWAYS[loop]


def _most_of_this_process() -> int:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST if files == resource.RLIM_INFINITY else max(LEAST, min(MOST, files // SHARE_OF_FILES))
