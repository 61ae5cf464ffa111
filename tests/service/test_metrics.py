"""The series of a page: their names, their labels, and that a client cannot add any."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from loadtest.target.prometheus_text import Samples
from service.metrics import Metrics, merged

# What a figure without one of these endings counts: things.
UNITS = ("_seconds", "_bytes", "_total", "_info", "_fds")
THINGS = {
    "leaderboard_connections", "leaderboard_users", "leaderboard_sessions", "leaderboard_degraded",
    "leaderboard_redis_queue", "leaderboard_redis_link_state",
}  # fmt: skip


def series(metrics: Metrics) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    return {(one.name, frozenset(one.labels.items())) for one in Samples.parse(metrics.page().decode()).all}


def test_what_a_client_chooses_adds_no_series() -> None:
    """Close codes, methods and statuses that nobody knows are one series each."""
    metrics = Metrics()
    metrics.answered("BREW", 418)
    before = series(metrics)
    for number in range(100):
        metrics.closed("client", 3000 + number)
        metrics.closed("server", number)
        metrics.answered(f"BREW{number}", 600 + number)
        metrics.refused(f"reason-{number}")
    assert series(metrics) == before
    samples = Samples.parse(metrics.page().decode())
    assert samples.by("leaderboard_connections_closed_total", "code")["other"] == 200
    assert samples.by("leaderboard_http_requests_total", "method")["other"] == 101
    assert samples.by("leaderboard_handshakes_refused_total", "reason")["other"] == 100


def test_known_values_are_counted_by_themselves() -> None:
    """Who closed and with which code, and what was answered to which method."""
    metrics = Metrics()
    metrics.closed("client", 4408)
    metrics.closed("server", 4408)
    metrics.answered("GET", 404)
    metrics.refused("origin")
    page = metrics.page().decode()
    for line in (
        'leaderboard_connections_closed_total{closed_by="client",code="4408"} 1.0',
        'leaderboard_connections_closed_total{closed_by="server",code="4408"} 1.0',
        'leaderboard_http_requests_total{code="404",method="GET"} 1.0',
        'leaderboard_handshakes_refused_total{reason="origin"} 1.0',
    ):
        assert line in page.splitlines()


def test_names_end_in_a_unit_and_no_series_tells_when_it_began() -> None:
    """Seconds, bytes, totals; the rest counts things."""
    families = list(text_string_to_metric_families(Metrics().page().decode()))
    names = {f"{one.name}_total" if one.type == "counter" else one.name for one in families}
    assert {name for name in names if not name.endswith(UNITS)} == THINGS
    assert not [name for name in names if name.endswith("_created")]


def test_a_page_of_several_workers_is_one_page() -> None:
    """Each metric has one heading, with the samples of all workers under it."""
    pages = [Metrics().page(worker) for worker in ("0", "1")]
    page = merged(pages).decode()
    headings = re.findall(r"^# HELP (\w+)", page, re.MULTILINE)
    assert len(set(headings)) == len(headings)
    assert len(Samples.parse(page).all) == sum(len(Samples.parse(one.decode()).all) for one in pages)
    for family in text_string_to_metric_families(page):
        assert {sample.labels["worker"] for sample in family.samples} in ({"0", "1"}, set()), family.name


@pytest.mark.parametrize("name", ["leaderboard_errors_sent_total", "leaderboard_handshakes_refused_total"])
def test_a_series_is_there_before_its_first_count(name: str) -> None:
    """At zero, so that Prometheus sees it grow."""
    assert {one.value for one in Samples.parse(Metrics().page().decode()).all if one.name == name} == {0}
