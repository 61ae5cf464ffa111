"""What the pairs look like in Locust's own tables."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace

import pytest

from loadtest.measure.histogram import Histogram

SECONDS = [0.0000101, 0.0000103, 0.0021, 0.0347, 0.0347, 0.0352, 0.25, 1.75]


@pytest.fixture
def locust_stats(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module under test. Locust would replace this process' sockets and threads when it is imported."""
    monkeypatch.setenv("LOCUST_SKIP_MONKEY_PATCH", "1")
    from locust import stats

    from loadtest.load import locust_stats

    monkeypatch.setattr(stats, "bucket_response_time", locust_stats.fine_bucket)
    return locust_stats


def table() -> object:
    """An empty table of Locust's."""
    from locust.stats import RequestStats

    return RequestStats()


def logged_one_by_one() -> object:
    """A table in which Locust has counted each of the values itself."""
    expected = table()
    for seconds in SECONDS:
        expected.log_request("WS", "board", seconds * 1000, 0)
    return expected


def put_in_bulk(locust_stats: ModuleType, *histograms: Histogram) -> object:
    """A table into which the values were put as histograms."""
    found = table()
    writer = locust_stats.LocustStats(SimpleNamespace(runner=SimpleNamespace(stats=found)))
    for histogram in histograms:
        writer.pairs(histogram)
    return found


def values(entry: object) -> dict[str, object]:
    """What Locust reports of an entry, without the moments at which it was made; the sum to the nanosecond."""
    report = dict(entry.serialize())
    per_second = report.pop("num_reqs_per_sec")
    del report["start_time"], report["last_request_timestamp"]
    total = round(report.pop("total_response_time"), 6)
    return report | {"requests": sum(per_second.values()), "total": total}


@pytest.mark.parametrize("parts", [[SECONDS], [SECONDS[:2], [], SECONDS[2:]]], ids=["at once", "in parts"])
def test_pairs_in_bulk_are_what_locust_counts_one_by_one(locust_stats: ModuleType, parts: list[list[float]]) -> None:
    """The row and the total hold the same counts, sums, extremes and percentiles as if each pair were a request."""
    found, expected = put_in_bulk(locust_stats, *map(Histogram, parts)), logged_one_by_one()
    for one, other in ((found.get("board", "WS"), expected.get("board", "WS")), (found.total, expected.total)):
        assert values(one) == values(other)
        for percent in (0.5, 0.9, 0.99):
            assert one.get_response_time_percentile(percent) == other.get_response_time_percentile(percent)


def test_the_report_has_every_field_of_locusts_own(locust_stats: ModuleType) -> None:
    """When Locust adds, drops or renames a field of its entries, this names it."""
    own = logged_one_by_one().get("board", "WS").serialize()
    assert locust_stats.as_report(Histogram(SECONDS), 1.0).keys() == own.keys()


def test_nothing_received_is_no_row(locust_stats: ModuleType) -> None:
    """A second without pairs adds no row to the table."""
    assert put_in_bulk(locust_stats, Histogram()).entries == {}


def test_a_bucket_of_locusts_is_one_of_the_histogram(locust_stats: ModuleType) -> None:
    """Locust's rounding keeps three digits, where its own keeps two: 34.7 and 35.2 ms stay apart."""
    assert locust_stats.fine_bucket(34.7) != locust_stats.fine_bucket(35.2)
    assert locust_stats.fine_bucket(34.7) == pytest.approx(34.7, rel=0.01)


def test_an_event_fires_with_milliseconds(locust_stats: ModuleType) -> None:
    """Locust's listeners get one request under the name, in milliseconds, with its failure."""
    fired: list[dict[str, object]] = []
    request = SimpleNamespace(fire=lambda **event: fired.append(event))
    failure = ValueError("no")
    locust_stats.LocustStats(SimpleNamespace(events=SimpleNamespace(request=request))).request("ack", 0.25, 7, failure)
    assert fired == [{
        "request_type": "WS", "name": "ack", "response_time": 250.0, "response_length": 7, "exception": failure,
        "context": {},
    }]  # fmt: skip
