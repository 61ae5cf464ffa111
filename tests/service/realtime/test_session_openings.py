"""How many sessions a connection and an address may open."""

from __future__ import annotations

import pytest

from service.core.errors import ErrorCode, Refused
from service.realtime.session_openings import ConnectionOpenings, SessionOpenings


def opened(openings: ConnectionOpenings, tries: int, now: float = 0.0) -> int:
    """How many of so many tries succeed."""
    for number in range(tries):
        try:
            openings.check(now)
        except Refused:
            return number
        openings.add(now)
    return tries


def test_a_connection_opens_its_number_of_sessions_a_minute():
    """The refusal says after how long the next one is allowed."""
    openings = ConnectionOpenings(SessionOpenings(10, 60), "127.0.0.1")
    assert opened(openings, 11, 5.0) == 10
    with pytest.raises(Refused, match="at most 10 new sessions a minute from one connection") as caught:
        openings.check(20.0)
    assert (caught.value.code, caught.value.retry_after) == (ErrorCode.LIMIT, 45.0)
    assert opened(openings, 11, 65.0) == 10


@pytest.mark.parametrize("host", ["203.0.113.{}", "2001:db8:0:{}::1"])
def test_an_address_opens_its_number_over_all_connections(host: str):
    """Another address, or another /64, has its own."""
    shared = SessionOpenings(10, 15)
    assert [opened(ConnectionOpenings(shared, host.format(1)), 10) for _ in range(3)] == [10, 5, 0]
    with pytest.raises(Refused, match="at most 15 new sessions a minute from one address") as caught:
        ConnectionOpenings(shared, host.format(1)).check(1.0)
    assert caught.value.retry_after == 59.0
    assert opened(ConnectionOpenings(shared, host.format(2)), 10) == 10


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", None])
def test_callers_on_this_machine_are_not_counted_as_one(host: str | None):
    """A swarm or a proxy here is many clients, each bound as a connection."""
    shared = SessionOpenings(10, 15)
    assert [opened(ConnectionOpenings(shared, host), 10) for _ in range(3)] == [10] * 3
