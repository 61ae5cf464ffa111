"""Counting a request while it is read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.server.request_bounds import Refusal, RequestBounds, RequestMeter, body_size, check_upgrade

SMALL = RequestBounds(head_bytes=100, url_bytes=20, headers=2, body_bytes=50)


def test_bytes_of_a_line_without_an_end_count() -> None:
    """A bound holds before there is a whole header to look at."""
    meter = RequestMeter(SMALL)
    assert not meter.started
    meter.begin()
    meter.fed(99)
    meter.check()
    meter.fed(2)
    with pytest.raises(Refusal, match="head of at most 100 bytes") as refused:
        meter.check()
    assert refused.value.status == 431


def test_a_url_in_parts_is_one_url() -> None:
    """Its parts count together."""
    meter = RequestMeter(SMALL)
    meter.begin()
    meter.url(20)
    with pytest.raises(Refusal, match="URL of at most 20 bytes") as refused:
        meter.url(1)
    assert refused.value.status == 414


def test_each_request_is_counted_from_the_start() -> None:
    """What the last one had is not held against the next."""
    meter = RequestMeter(replace(SMALL, head_bytes=60))
    for _ in range(3):
        meter.fed(40)
        meter.begin()
        meter.header(b"name", b"value")
        meter.header(b"name", b"value")
        meter.declared(50)
        meter.head_complete()
        meter.fed(50)
        meter.check()
        meter.end()
        assert not meter.started


def test_trailers_count_as_headers() -> None:
    """What comes behind a body is a header, too."""
    meter = RequestMeter(SMALL)
    meter.begin()
    meter.header(b"a", b"b")
    meter.head_complete()
    meter.header(b"a", b"b")
    with pytest.raises(Refusal, match="at most 2 headers"):
        meter.header(b"a", b"b")


def test_a_body_has_a_bound() -> None:
    """Whether it says its size, or comes in chunks."""
    meter = RequestMeter(SMALL)
    meter.begin()
    with pytest.raises(Refusal, match="body of at most 50 bytes") as refused:
        meter.declared(51)
    assert refused.value.status == 413
    assert meter.in_head
    meter.head_complete()
    meter.fed(51)
    with pytest.raises(Refusal, match="body of at most 50 bytes"):
        meter.check()


def test_an_upgrade_has_no_body() -> None:
    """Its bytes could be taken for frames."""
    check_upgrade([(b"host", b"localhost"), (b"content-length", b"0")])
    for header in [(b"content-length", b"1"), (b"transfer-encoding", b"chunked")]:
        with pytest.raises(Refusal, match="upgrade without a body"):
            check_upgrade([header])
    assert body_size([(b"content-length", b"7")]) == 7
