"""Latencies in buckets that merge exactly.

Log-linear, as HdrHistogram made it known: each power of two is cut into `SUB` equal buckets, and
a bucket is reported by its middle. So no reported value is further than 1/(2·SUB) = 0.78 % from
what was recorded, over twelve orders of magnitude, and two histograms are merged by adding
counts. Percentiles are taken from merged counts and never averaged. A bound is reported by an edge of its bucket,
an upper one by the upper edge and a lower one by the lower edge, so that it stays a bound.

Values are seconds. What never happened took infinitely long: it counts in the percentiles, and is counted apart. The
sum is kept in whole nanoseconds, so that merging is exact in any order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

SUB: Final = 64  # buckets per power of two; 2**6, see `_bucket`
ERROR: Final = 1 / (2 * SUB)  # largest relative error of a reported value
LOWEST: Final = -24  # exponents: 2**-24 s is 60 ns,
HIGHEST: Final = 14  # 2**14 s is four and a half hours; what lies outside goes into the outermost buckets
BUCKETS: Final = (HIGHEST - LOWEST) * SUB
_SMALLEST: Final = math.ldexp(1.0, LOWEST)
_BITS_BELOW: Final = 52 - 6  # of a float's mantissa, below those that choose one of 2**6 buckets
_FIRST: Final = (1023 + LOWEST) << 6
LOWER_EDGE, MIDDLE, UPPER_EDGE = 0.0, 0.5, 1.0  # where within its bucket a value is reported


class Histogram:
    """Counts of values in seconds. Zero and negative values count in the lowest bucket.

    `count`, `minimum` and `maximum` are those of the finite values, `infinite` is the number of the others.
    """

    __slots__ = ("_counts", "_sum_ns", "count", "infinite", "maximum", "minimum")

    def __init__(self, values: ArrayLike = ()) -> None:
        self._counts: NDArray[np.int64] = np.zeros(BUCKETS, np.int64)
        self._sum_ns = 0
        self.count = 0
        self.infinite = 0
        self.minimum = math.inf
        self.maximum = -math.inf
        self.record(values)

    def __len__(self) -> int:
        return self.count

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment] # it changes

    def record(self, values: ArrayLike) -> None:
        """Count each of the values (seconds, one number or an array). Raises ValueError for NaN and minus infinity."""
        seconds = np.atleast_1d(np.asarray(values, np.float64)).ravel()
        if not seconds.size:
            return
        least, most = float(seconds.min()), float(seconds.max())
        if not (math.isfinite(least) and math.isfinite(most)):
            self._record_apart(seconds)
            return
        self._counts += np.bincount(_bucket(seconds), minlength=BUCKETS)
        # Whole numbers below 2**53 add up exactly.
        self._sum_ns += int(np.rint(seconds * 1e9).sum())
        self.count += seconds.size
        self.minimum = min(self.minimum, least)
        self.maximum = max(self.maximum, most)

    def _record_apart(self, seconds: NDArray[np.float64]) -> None:
        finite = np.isfinite(seconds)
        infinite = int(np.isposinf(seconds).sum())
        if infinite + int(finite.sum()) < seconds.size:
            raise ValueError("expected seconds, got NaN or minus infinity")
        self.infinite += infinite
        self.record(seconds[finite])

    def merge(self, other: Histogram) -> Self:
        """Add the other's counts; the result is as if all values had been recorded here."""
        self._counts += other._counts
        self._sum_ns += other._sum_ns
        self.count += other.count
        self.infinite += other.infinite
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        return self

    @property
    def mean(self) -> float:
        """The arithmetic mean of the finite values in seconds, exact to the nanosecond; NaN without any."""
        return self._sum_ns / self.count / 1e9 if self.count else math.nan

    def percentile(self, percent: float, within: float = MIDDLE) -> float:
        """The nearest-rank percentile in seconds, within `ERROR` at the `MIDDLE` of its bucket; NaN when empty.

        It is the smallest value such that at least `percent` % of all values are not greater:
        `numpy.percentile(…, method="inverted_cdf")`. At the `UPPER_EDGE` it is never below that, at the `LOWER_EDGE`
        never above.
        """
        total = self.count + self.infinite
        if not total:
            return math.nan
        rank = max(1, math.ceil(total * percent / 100))
        if rank > self.count:
            return math.inf
        bucket = int(np.searchsorted(np.cumsum(self._counts), rank))
        # The lowest bucket has no lower edge: what is zero or less counts there.
        value = value_in(bucket, within) if bucket or within else -math.inf
        return min(max(value, self.minimum), self.maximum)

    def buckets(self) -> list[tuple[float, int]]:
        """(middle in seconds, count) of each bucket that holds something, ascending; infinite values are in none."""
        return [(value_in(int(bucket)), int(self._counts[bucket])) for bucket in np.flatnonzero(self._counts)]

    def to_dict(self) -> dict[str, Any]:
        """A sparse form for JSON: `counts` maps bucket numbers (as strings) to counts."""
        filled = np.flatnonzero(self._counts)
        counts = dict(zip(map(str, filled.tolist()), self._counts[filled].tolist(), strict=True))
        sparse: dict[str, Any] = {"counts": counts, "sumNs": self._sum_ns}
        if self.count:
            sparse |= {"min": self.minimum, "max": self.maximum}
        return sparse | ({"infinite": self.infinite} if self.infinite else {})

    @classmethod
    def from_dict(cls, sparse: Mapping[str, Any]) -> Self:
        """The histogram of which `to_dict` is the sparse form."""
        histogram = cls()
        for bucket, count in sparse["counts"].items():
            histogram._counts[int(bucket)] = count
            histogram.count += count
        histogram._sum_ns = sparse["sumNs"]
        histogram.infinite = sparse.get("infinite", 0)
        if histogram.count:
            histogram.minimum, histogram.maximum = sparse["min"], sparse["max"]
        return histogram

    @classmethod
    def merged(cls, histograms: Iterable[Histogram]) -> Self:
        """All of them in a new one."""
        total = cls()
        for histogram in histograms:
            total.merge(histogram)
        return total


def _bucket(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    # The bits of a float are its exponent and then its mantissa, whose first six are the place among 64 buckets.
    bits = np.maximum(seconds, _SMALLEST).view(np.int64)
    bucket: NDArray[np.int64] = np.minimum((bits >> _BITS_BELOW) - _FIRST, BUCKETS - 1)
    return bucket


def reported(seconds: float) -> float:
    """What a histogram would report of a single value."""
    if seconds <= 0:
        return value_in(0)
    mantissa, exponent = math.frexp(seconds)
    bucket = (exponent - 1 - LOWEST) * SUB + int((mantissa - 0.5) * (2 * SUB))
    return value_in(min(max(bucket, 0), BUCKETS - 1))


def value_in(bucket: int, within: float = MIDDLE) -> float:
    """The value in seconds by which a bucket is reported, at its middle or at an edge."""
    octave, sub = divmod(bucket, SUB)
    return math.ldexp(1 + (sub + within) / SUB, octave + LOWEST)
