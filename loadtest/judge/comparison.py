"""Two sets of runs compared. The run is the unit, because observations within a run are not independent.

For each metric: the ratio of the geometric means, B to A, with a bootstrap interval. Runs are resampled with
replacement, each set separately, and the middle 95 % of the ratios form the interval. A difference is *shown*
when the interval does not contain 1. With a single run on either side there is a ratio but no interval.

Pure: lines of runs in, rows out.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from loadtest.measure.metrics import METRICS, Metric

RESAMPLES: Final = 10_000
CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """One metric: the medians of A and B, the ratio B to A and its interval (None with a single run).

    `least` are the medians of the lower bounds of A and B, None where a metric or a run has none.
    """

    metric: Metric
    a: float
    b: float
    ratio: float
    interval: tuple[float, float] | None
    least: tuple[float, float] | None = None

    @property
    def verdict(self) -> str:
        """What is shown of B: `worse`, `better`, or neither."""
        if self.interval is None or self.interval[0] <= 1 <= self.interval[1]:
            return ""
        return "worse" if (self.ratio > 1) is (self.metric.better == "lower") else "better"

    @property
    def counts(self) -> bool:
        """Whether the metric describes the service; what the load test itself uses is shown but does not count."""
        return not self.metric.of_generator


def compare(a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]], *, seed: int = 1) -> list[MetricComparison]:
    """The rows for two sets of results (the last lines of runs): one for each metric that all of them have."""
    rows = []
    for metric in METRICS.values():
        ours, theirs = ([one["metrics"].get(metric.name) for one in group] for group in (a, b))
        if metric.compared and all(value is not None and 0 < value < math.inf for value in (*ours, *theirs)):
            middles = statistics.median(ours), statistics.median(theirs)
            least = _lower_middles(metric.name, a, b)
            rows.append(MetricComparison(metric, *middles, *ratio(ours, theirs, seed=seed), least))
    return rows


def _lower_middles(name: str, *groups: Sequence[Mapping[str, Any]]) -> tuple[float, float] | None:
    bounds = [[one.get("atLeast", {}).get(name) for one in group] for group in groups]
    if any(None in group for group in bounds):
        return None
    ours, theirs = map(statistics.median, bounds)
    return ours, theirs


def ratio(a: Sequence[float], b: Sequence[float], *, seed: int = 1) -> tuple[float, tuple[float, float] | None]:
    """The ratio of the geometric means, B to A, and its bootstrap interval."""
    logs_a, logs_b = np.log(np.asarray(a, np.float64)), np.log(np.asarray(b, np.float64))
    middle = math.exp(float(logs_b.mean() - logs_a.mean()))
    if min(len(a), len(b)) < 2:
        return middle, None
    random = np.random.default_rng(seed)
    means = [logs[random.integers(len(logs), size=(RESAMPLES, len(logs)))].mean(axis=1) for logs in (logs_b, logs_a)]
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.exp(np.percentile(means[0] - means[1], [tail, 100 - tail]))
    return middle, (float(low), float(high))


def doubts(a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why a comparison of these runs (their first lines) may mislead; one sentence each."""
    found = []
    if min(len(a), len(b)) < 5:
        found.append(f"{len(a)} and {len(b)} runs: an interval needs five of each")
    started = sorted([(one["started"], "A") for one in a] + [(one["started"], "B") for one in b])
    order = "".join(group for _, group in started)
    if min(len(a), len(b)) > 1 and order in {"A" * len(a) + "B" * len(b), "B" * len(b) + "A" * len(a)}:
        found.append(f"the runs were not interleaved ({order}): changes on the machine between them are in the ratio")
    for name in sorted(set().union(*(one["arguments"] for one in (*a, *b))) - {"gates"}):
        values = {json_of(one["arguments"].get(name)) for one in (*a, *b)}
        if len(values) > 1:
            found.append(f"different {name}: {', '.join(sorted(values))}")
    if len({one["scenario"] for one in (*a, *b)}) > 1:
        found.append("different scenario")
    found += [
        f"different {name}"
        for name in ("python", "system", "machine", "usableCpus", "memoryBytes")
        if len({json_of(one["environment"].get(name)) for one in (*a, *b)}) > 1
    ]
    return found


def json_of(value: object) -> str:
    """A value of a run's first line, as text for a reader."""
    return f"{value:g}" if isinstance(value, float) else str(value)
