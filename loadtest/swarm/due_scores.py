"""The scores of all players of a process in the order in which they are due, so that none waits for a board to be read.

A board comes to a thousand sockets at once, and reading it takes a dozen milliseconds. A timer that is due meanwhile
would fire after all of them, so the hot path itself asks between two boards: `next_at` is a number to compare with.
A greenlet covers the times in which nothing is received.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator

import gevent
import gevent.event

from loadtest.swarm.run_clock import RunClock

Score = Callable[[int, float], None]  # points, intended time


class DueScores:
    """A heap of what is due; times are those of the run's clock."""

    def __init__(self, clock: RunClock) -> None:
        self.next_at = float("inf")
        self._clock = clock
        self._heap: list[tuple[float, int, int, Score, Iterator[tuple[float, int]]]] = []
        self._numbers = itertools.count()  # of equal times the one added first
        self._earlier = gevent.event.Event()
        self._waiting = gevent.spawn(self._wait)

    def add(self, score: Score, plan: Iterator[tuple[float, int]]) -> None:
        """Call `score(points, intended)` at each of the (time, points) of the plan, which ascends."""
        self._push(score, plan)
        self._earlier.set()

    def send_due(self, now: float) -> None:
        """Send everything that is due by now."""
        while self._heap and self._heap[0][0] <= now:
            intended, _, points, score, plan = heapq.heappop(self._heap)
            self._push(score, plan)
            if intended < self._clock.ends:
                score(points, intended)

    def stop(self) -> None:
        """Send nothing more."""
        self._waiting.kill(block=False)
        self._heap.clear()
        self.next_at = float("inf")

    def _push(self, score: Score, plan: Iterator[tuple[float, int]]) -> None:
        for at, points in plan:
            if at < self._clock.ends:
                heapq.heappush(self._heap, (at, next(self._numbers), points, score, plan))
            break
        self.next_at = self._heap[0][0] if self._heap else float("inf")

    def _wait(self) -> None:
        while True:
            self._earlier.clear()
            wait = self.next_at - self._clock.now()
            if wait > 0:
                self._earlier.wait(None if wait == float("inf") else wait)
            self.send_due(self._clock.now())
            gevent.sleep(0)
