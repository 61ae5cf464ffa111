from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.measure.histogram import ERROR, LOWER_EDGE, UPPER_EDGE, Histogram, reported

seconds = st.floats(min_value=1e-6, max_value=3600, allow_nan=False)
lists = st.lists(seconds, min_size=1, max_size=200)


@given(seconds)
def test_a_value_is_reported_within_one_percent(value: float) -> None:
    """A single value comes back within the stated error, which is below one percent."""
    # Without minimum and maximum, which would clamp the answer to the exact value.
    histogram = Histogram([value, value / 2, value * 2])
    assert ERROR < 0.01
    assert histogram.percentile(50) == pytest.approx(value, rel=ERROR)


@given(seconds)
def test_a_single_value_is_reported_as_in_a_histogram(value: float) -> None:
    """The shortcut for one value gives the bucket that recording it gives."""
    assert reported(value) == Histogram([value]).buckets()[0][0]
    assert reported(-value) == Histogram([-value]).buckets()[0][0]


@given(lists, st.sampled_from([1, 10, 50, 90, 99, 99.9, 100]))
def test_percentiles_match_numpy(values: list[float], percent: float) -> None:
    """Every percentile is numpy's nearest-rank one within the stated error."""
    expected = np.percentile(values, percent, method="inverted_cdf")
    assert Histogram(values).percentile(percent) == pytest.approx(expected, rel=ERROR)


@given(lists, lists, lists)
def test_merging_is_recording_in_one(one: list[float], two: list[float], three: list[float]) -> None:
    """Merged in any grouping and order, histograms equal the one that recorded everything."""
    together = Histogram(one + two + three)
    assert Histogram(one).merge(Histogram(two)).merge(Histogram(three)) == together
    assert Histogram(three).merge(Histogram(two).merge(Histogram(one))) == together


@given(lists)
def test_the_sparse_form_loses_nothing(values: list[float]) -> None:
    """A histogram survives JSON unchanged."""
    histogram = Histogram(values)
    assert Histogram.from_dict(json.loads(json.dumps(histogram.to_dict()))) == histogram


def test_an_empty_histogram_has_no_percentile() -> None:
    """An empty histogram answers NaN, merges as nothing and survives JSON."""
    empty = Histogram()
    assert math.isnan(empty.percentile(50))
    assert math.isnan(empty.mean)
    assert Histogram([1.0]).merge(Histogram.from_dict(empty.to_dict())) == Histogram([1.0])


def test_values_outside_the_range_count_at_its_ends() -> None:
    """Zero, negative and enormous values are counted, with exact minimum and maximum."""
    histogram = Histogram([0.0, -1.0, 1e9])
    assert (histogram.count, histogram.minimum, histogram.maximum) == (3, -1.0, 1e9)


def test_what_is_no_number_is_refused() -> None:
    """NaN and minus infinity are refused and count nowhere."""
    histogram = Histogram()
    for wrong in (math.nan, -math.inf):
        with pytest.raises(ValueError, match="expected seconds"):
            histogram.record([1.0, wrong])
    assert histogram.count == 0


def test_what_never_happened_counts_in_the_percentiles() -> None:
    """Two of ten that took for ever are above the 80th percentile; they have no part in sum, maximum and buckets."""
    histogram = Histogram([1.0] * 8 + [math.inf] * 2)
    assert (histogram.count, histogram.infinite, histogram.maximum, histogram.mean) == (8, 2, 1.0, 1.0)
    assert (histogram.percentile(80), histogram.percentile(81)) == (1.0, math.inf)
    assert sum(count for _, count in histogram.buckets()) == 8
    again = Histogram.from_dict(json.loads(json.dumps(histogram.to_dict())))
    assert again == histogram
    assert again.merge(Histogram([math.inf])).infinite == 3
    assert Histogram([math.inf]).percentile(50) == math.inf


@given(st.lists(st.floats(-1.0, 1e4), min_size=1, max_size=200), st.sampled_from([50.0, 90.0, 99.0, 100.0]))
def test_an_edge_is_a_bound(values: list[float], percent: float) -> None:
    """At the upper edge a percentile is never below numpy's, at the lower never above, and both are a bucket apart."""
    expected = float(np.percentile(values, percent, method="inverted_cdf"))
    histogram = Histogram(values)
    lower, upper = (histogram.percentile(percent, edge) for edge in (LOWER_EDGE, UPPER_EDGE))
    assert lower <= expected <= upper
    if expected > 1e-6:
        assert upper / lower <= 1 + 2.1 * ERROR
