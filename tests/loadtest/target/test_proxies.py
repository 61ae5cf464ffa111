"""Which URLs are reached through a proxy."""

from __future__ import annotations

import pytest

from loadtest import access
from loadtest.target import proxies

PROXY = "http://me:secret@proxy.example:3128"


@pytest.fixture(autouse=True)
def _shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that names a proxy for everything."""
    for name in ("no_proxy", "NO_PROXY", "https_proxy", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", PROXY)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.8.9.1", "localhost", "LOCALHOST", "localhost.", "quiz.localhost", "[::1]", "[::ffff:127.0.0.1]",
     "0.0.0.0", "[::]"],
)  # fmt: skip
def test_this_machine_is_never_reached_through_a_proxy(host: str) -> None:
    """Neither by a name nor by an address, and with any port."""
    assert proxies.proxy_for(f"http://{host}:8000/path") is None
    assert proxies.is_direct(f"ws://{host}/ws")


@pytest.mark.parametrize("host", ["quiz.example", "10.1.2.3", "[2001:db8::1]", "localhost.example", "128.0.0.1"])
def test_another_machine_is_reached_through_the_proxy(host: str) -> None:
    """The one that the environment names for the scheme."""
    assert proxies.proxy_for(f"http://{host}:8000") == PROXY
    assert proxies.proxy_for(f"https://{host}") is None


def test_a_proxy_for_every_scheme_stands_behind_that_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """`all_proxy` holds where no other does."""
    monkeypatch.setenv("all_proxy", "http://other.example")
    assert proxies.proxy_for("http://quiz.example") == PROXY
    assert proxies.proxy_for("https://quiz.example") == "http://other.example"


@pytest.mark.parametrize(
    ("excepted", "host", "direct"),
    [
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("example, 192.168.0.0/16", "192.168.1.9", True),
        ("2001:db8::/32", "[2001:db8::7]", True),
        ("10.1.2.3", "10.1.2.3", True),
        (".example", "quiz.example", True),
        ("quiz.example:8000", "quiz.example", True),
        ("*", "anything.example", True),
        ("10.0.0.0/8", "quiz.example", False),
        ("10.0.0.0/99", "10.1.2.3", False),
    ],
)  # fmt: skip
def test_exceptions_are_names_addresses_and_networks(
    monkeypatch: pytest.MonkeyPatch, excepted: str, host: str, direct: bool
) -> None:
    """As `no_proxy` lists them."""
    monkeypatch.setenv("no_proxy", excepted)
    assert proxies.is_direct(f"http://{host}:8000") is direct


def test_a_proxy_is_shown_without_its_password() -> None:
    """An error text is read by many."""
    assert access.shown(PROXY) == "http://proxy.example:3128"
