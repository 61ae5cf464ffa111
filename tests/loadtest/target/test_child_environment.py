"""The environment of a child process."""

from __future__ import annotations

import pytest
from hostile_shell import OTHER_SETUP

from loadtest.target import http_api
from loadtest.target.child_environment import child_environment
from loadtest.target.http_client import client


@pytest.fixture(autouse=True)
def _shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell in which somebody has set up a service of their own."""
    for name, value in OTHER_SETUP.items():
        monkeypatch.setenv(name, value)


def test_what_sets_up_the_users_own_services_is_left_out() -> None:
    """Everything else is handed on."""
    assert not child_environment().keys() & OTHER_SETUP.keys()
    assert child_environment()["PATH"]


def test_what_the_owner_names_is_kept() -> None:
    """Whatever its name."""
    assert child_environment({"LEADERBOARD_BURST": "9", "OF_MY_OWN": "x"}).items() >= {
        ("LEADERBOARD_BURST", "9"), ("OF_MY_OWN", "x"),
    }  # fmt: skip


def test_a_service_of_ones_own_is_not_set_up_by_the_shell(start_service) -> None:
    """It keeps its scores in memory, listens on loopback and lets its owner reset, as it does in an empty shell."""
    url = start_service().url
    assert url.startswith("http://127.0.0.1:")
    http_api.reset(url, "DEMO123")
    assert http_api.board(url, "DEMO123").entries == []
    with client(url, timeout=10) as http:
        assert http.get("/health").json()["storage"] == "memory"
