"""When what was broken, and what a worker can therefore know. All times are `time.monotonic()`."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Life:
    """One process of a worker; a restarted worker is another life."""

    worker: int
    number: int
    born: float = float("inf")  # when it had read Redis: what was published before is not in its memory

    def __str__(self) -> str:
        return f"{self.worker}.{self.number}"


class Timeline:
    """The faults so far, as far as the swarm has to know of them."""

    def __init__(self) -> None:
        self._zero = time.monotonic()
        self.away = False  # Redis is frozen or gone
        self.wiped_at = float("-inf")  # when data were lost last
        self._rough: list[tuple[int | None, float, float]] = []  # worker (None: all), from, to

    def at(self, now: float) -> str:
        """The moment as it is told in findings and on the screen."""
        return f"{now - self._zero:.3f}"

    @contextmanager
    def redis_away(self) -> Iterator[None]:
        """The time in which Redis cannot be reached by anybody."""
        self.away = True
        try:
            yield
        finally:
            self.away = False

    def begin_rough(self, worker: int | None, now: float) -> int:
        """From now on published effects may not reach the worker; return a ticket for `end_rough`."""
        self._rough.append((worker, now, float("inf")))
        return len(self._rough) - 1

    def end_rough(self, ticket: int, now: float) -> None:
        """From now on they do."""
        worker, start, _ = self._rough[ticket]
        self._rough[ticket] = (worker, start, now)

    def can_know(self, life: Life, seen_by: Collection[Life], sent_at: float, published_by: float) -> bool:
        """Whether a resend to this life must be recognised (design.md §4, limits).

        As long as no data were lost Redis knows every opId. After that only who got the first one, or
        was there and undisturbed while it was published, between its sending and its durable answer.
        """
        if self.wiped_at < sent_at or life in seen_by:
            return True
        if life.born > sent_at:
            return False
        return not any(
            worker in {None, life.worker} and start <= published_by and end >= sent_at
            for worker, start, end in reversed(self._rough)
        )
