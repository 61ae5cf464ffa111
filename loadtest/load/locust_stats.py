"""Locust's own tables: what the players do, and the pairs' latencies, at the histogram's precision."""

from __future__ import annotations

import time
from collections import Counter
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
        report = as_report(latency, time.time())
        for entry in (table.get("board", "WS"), table.total):
            entry.extend(stats.StatsEntry.unserialize(report, table))


def as_report(latency: Histogram, now: float) -> stats.StatsEntryDict:
    """The pairs of a histogram, not empty, as Locust's workers report an entry to their master.

    Locust has no call that counts many requests at once. What it has is the merging of such reports, so this form is
    the only one of its internals that is written here; tests/loadtest/load/test_locust_stats.py compares it with
    what Locust itself reports of the same values, and fails when Locust changes it.
    """
    response_times: Counter[float] = Counter()
    for middle, count in latency.buckets():
        response_times[round(middle * 1000, 3)] += count  # below 64 µs several buckets share a key
    report = {
        "name": "board",
        "method": "WS",
        "last_request_timestamp": now,
        "start_time": now,
        "num_requests": latency.count,
        "num_none_requests": 0,
        "num_failures": 0,
        "total_response_time": latency.mean * latency.count * 1000,
        "min_response_time": latency.minimum * 1000,
        "max_response_time": latency.maximum * 1000,
        "total_content_length": 0,
        "response_times": response_times,
        "num_reqs_per_sec": {int(now): latency.count},
        "num_fail_per_sec": {},
    }
    return cast("stats.StatsEntryDict", report)  # declared to hold whole numbers


def fine_bucket(milliseconds: float) -> float:
    """The middle of the histogram's bucket, in milliseconds, for Locust's own rounding (whole ones, two digits)."""
    return round(reported(milliseconds / 1000) * 1000, 3)


def count_finely() -> None:
    """Make Locust's tables, charts, CSV and HTML show the histogram's percentiles."""
    setattr(stats, "bucket_response_time", fine_bucket)  # noqa: B010 - declared to give whole numbers
