"""Locust's own tables: what the players do, and the pairs' latencies, at the histogram's precision."""

from __future__ import annotations

import math
import time
from typing import Any, cast

from locust import stats
from locust.env import Environment

from loadtest.measure.histogram import Histogram, reported


class LocustStats:
    """Writes into the statistics of one process of Locust."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def request(self, name: str, seconds: float, size: int, failure: Exception | None) -> None:
        """Count one event under this name."""
        request: Any = self._environment.events.request
        request.fire(
            request_type="WS",
            name=name,
            response_time=seconds * 1000,
            response_length=size,
            exception=failure,
            context={},
        )

    def pairs(self, latency: Histogram) -> None:
        """Put pairs into the table as `board`: by the thousand, not one event each."""
        if not latency.count:
            return
        table = cast("Any", self._environment.runner).stats
        for entry in (table.get("board", "WS"), table.total):
            _add(entry, latency, time.time())


def _add(entry: Any, latency: Histogram, now: float) -> None:
    """Add the histogram to an entry of Locust's, which has no method for many requests at once."""
    entry.num_requests += latency.count
    entry.num_reqs_per_sec[int(now)] += latency.count
    entry.last_request_timestamp = now
    entry.total_response_time += latency.mean * latency.count * 1000
    entry.min_response_time = min(latency.minimum * 1000, entry.min_response_time or math.inf)
    entry.max_response_time = max(latency.maximum * 1000, entry.max_response_time)
    for middle, count in latency.buckets():
        entry.response_times[round(middle * 1000, 3)] += count


def fine_bucket(milliseconds: float) -> float:
    """The middle of the histogram's bucket, in milliseconds, for Locust's own rounding (whole ones, two digits)."""
    return round(reported(milliseconds / 1000) * 1000, 3)


def count_finely() -> None:
    """Make Locust's tables, charts, CSV and HTML show the histogram's percentiles."""
    setattr(stats, "bucket_response_time", fine_bucket)  # noqa: B010 - declared to give whole numbers
