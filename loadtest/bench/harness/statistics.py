"""From what was recorded to figures. Pure: arrays and numbers in, plain values out."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def summary(
    versions: NDArray[np.int64],
    stamps: NDArray[np.float64],
    owners: NDArray[np.int32],
    sent_at: Mapping[int, float],
    since: float,
    until: float,
) -> dict[str, Any]:
    """Deliveries, spreads, latencies and silences of one recording.

    Each delivery is the board's version, its arrival (Unix seconds) and the socket's number. Only arrivals in
    [since, until) count; a board that arrived partly outside has no spread. Times are in milliseconds:
    `spread_*` from the first socket's arrival of a board to the last one's, `latency_*` from `sent_at` (Unix
    seconds, by version) to each arrival, `silence` the longest time any socket that got a board waited for
    another, to the end of the window.
    """
    inside = (stamps >= since) & (stamps < until)
    whole = ~np.isin(versions, versions[~inside])
    spreads = _spreads(versions[whole], stamps[whole]) * 1000
    versions, stamps, owners = versions[inside], stamps[inside], owners[inside]
    sent = np.array([sent_at.get(int(version), np.nan) for version in np.unique(versions)])
    latencies = (stamps - sent[np.searchsorted(np.unique(versions), versions)]) * 1000
    latencies = latencies[~np.isnan(latencies)]
    return {
        "deliveries": len(versions),
        "boards": len(np.unique(versions)),
        "spreads": [round(float(one), 3) for one in spreads],
        "latency_p50": percentile(latencies, 50),
        "latency_p99": percentile(latencies, 99),
        "silence": _longest_silence(stamps, owners, until) * 1000,
    }


def percentile(values: NDArray[np.float64] | Sequence[float], percent: float) -> float | None:
    """The percentile by linear interpolation, None of nothing."""
    return float(np.percentile(values, percent)) if len(values) else None


def _spreads(versions: NDArray[np.int64], stamps: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(versions):
        return np.empty(0)
    order = np.argsort(versions, kind="stable")
    versions, stamps = versions[order], stamps[order]
    starts = np.flatnonzero(np.r_[True, versions[1:] != versions[:-1]])
    first: NDArray[np.float64] = np.minimum.reduceat(stamps, starts)
    last: NDArray[np.float64] = np.maximum.reduceat(stamps, starts)
    return last - first


def _longest_silence(stamps: NDArray[np.float64], owners: NDArray[np.int32], until: float) -> float:
    if not len(stamps):
        return 0.0
    order = np.lexsort((stamps, owners))
    stamps, owners = stamps[order], owners[order]
    ends = np.r_[owners[1:] != owners[:-1], True]
    waits = np.r_[stamps[1:], until] - stamps
    waits[ends] = until - stamps[ends]
    return float(waits.max())


def spread_of(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most: all that a few rounds can honestly say."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Ours divided by theirs, round by round, and the range of it."""
    return spread_of([one / other for one, other in zip(ours, theirs, strict=True)])
