"""REST calls and metrics of a service, and what is said of whatever else is at the address."""

from __future__ import annotations

import asyncio

import pytest
from hostile_shell import refusing_proxy

from loadtest.target import http_api
from loadtest.target.http_api import Unreachable
from loadtest.target.http_client import async_client
from loadtest.target.prometheus_text import Samples


def test_a_page_of_metrics_is_read_with_its_labels(service) -> None:
    """Plain samples are found by name, labelled ones by the value of a label."""
    samples = http_api.metrics(service.url)
    assert samples.value("leaderboard_connections") == 0
    assert samples.value("process_cpu_seconds_total") > 0
    assert samples.by("leaderboard_fanout_seconds_bucket", "le")["+Inf"] == 0
    assert samples.by("leaderboard_connections_closed_total", "code")["4408"] == 0


def test_a_labelled_sample_has_no_plain_value() -> None:
    """A name alone does not say which of several samples is meant."""
    samples = Samples.parse('closed_total{code="4408"} 3\nclosed_total{code="1000"} 2\nopen 5\n')
    assert samples.by("closed_total", "code") == {"4408": 3, "1000": 2}
    assert samples.value("open") == 5
    with pytest.raises(KeyError):
        samples.value("closed_total")


def test_a_page_that_is_not_prometheus_text_is_another_servers(other_server) -> None:
    """HTML, JSON, no page and no HTTP are no metrics."""
    with pytest.raises(Unreachable, match="this is not the leaderboard"):
        http_api.metrics(other_server)


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
async def test_a_service_on_this_machine_is_asked_without_a_proxy(service, nobody, monkeypatch, variable) -> None:
    """Whatever proxy the environment names; on asyncio, too."""
    monkeypatch.setenv(variable, nobody)
    for host in ("127.0.0.1", "localhost"):
        url = service.url.replace("127.0.0.1", host)
        await asyncio.to_thread(http_api.identify, url)
        async with async_client(url, timeout=10) as http:
            assert (await http.get("/health")).is_success


def test_a_service_elsewhere_is_asked_through_the_proxy(service, nobody, monkeypatch) -> None:
    """The environment holds for other hosts: here the proxy refuses the connection, and the error names it."""
    monkeypatch.setenv("http_proxy", nobody.replace("//", "//me:secret@"))
    with pytest.raises(Unreachable) as refused:
        http_api.identify("http://leaderboard.invalid")
    assert str(refused.value) == (
        f"http://leaderboard.invalid: no service answers there (Connection refused) through the proxy {nobody}"
    )


def test_a_proxy_that_answers_in_place_of_the_service_is_named(monkeypatch) -> None:
    """A company's proxy that lets nobody through answers with 403, or with 407."""
    with refusing_proxy() as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        with pytest.raises(Unreachable, match=rf"was answered by 403 .* through the proxy {proxy}$"):
            http_api.identify("http://leaderboard.invalid")


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "carrier-pigeon://127.0.0.1:1"])
def test_a_proxy_of_an_unknown_kind_is_named(monkeypatch, proxy) -> None:
    """It is no traceback."""
    monkeypatch.setenv("all_proxy", proxy)
    with pytest.raises(Unreachable, match=rf"no service answers there \(.+\) through the proxy {proxy}"):
        http_api.identify("http://leaderboard.invalid")


@pytest.mark.parametrize("url", ["http://a..b", "http://127.0.0.1:1/\x01", "http://ä..b", f"http://{'a' * 70}.example"])
def test_what_is_no_url_is_said_so(url) -> None:
    """Also where only the resolver finds out."""
    with pytest.raises(Unreachable, match=r"expected a URL like http://127\.0\.0\.1:8000, got "):
        http_api.identify(url)


def test_the_reason_is_that_of_the_operating_system(nobody) -> None:
    """In its words, without numbers and without the client's."""
    with pytest.raises(Unreachable) as refused:
        http_api.players(nobody, "DEMO123")
    assert str(refused.value) == f"{nobody}: no service answers there (Connection refused)"


@pytest.mark.parametrize("mark", ["/", "?", "#", "@x/", "@", ":", ",", "%", "[", "]", " ", "\u2100"])
def test_no_piece_of_a_password_shows(monkeypatch, mark) -> None:
    """Whatever sign in it is not quoted: an error names the host alone, that of a service and that of a proxy."""
    url = f"http://ann:geheim{mark}geheim@127.0.0.1:1"
    monkeypatch.setenv("http_proxy", url)
    for asked in (url, "http://leaderboard.invalid"):
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1") as refused:
            http_api.identify(asked)
        assert "geheim" not in str(refused.value)


def test_a_password_with_a_comma_is_one_address() -> None:
    """Commas stand between addresses only where another one begins."""
    urls = ["http://ann:a,b@one:1", "https://two"]
    assert http_api.split(f" {urls[0]} ,, {urls[1]},") == urls
    assert http_api.split("") == []
