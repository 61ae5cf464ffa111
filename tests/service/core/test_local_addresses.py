"""What an address means."""

from __future__ import annotations

import pytest

from service.core.local_addresses import is_loopback, network_of


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True),
     ("::ffff:127.0.0.1", True), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("example", False)],
)  # fmt: skip
def test_what_counts_as_loopback(host: str, loopback: bool):
    """All of this machine's own addresses, in every spelling."""
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("host", "network"),
    [("203.0.113.7", "203.0.113.7"), ("::ffff:203.0.113.7", "203.0.113.7"), ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
     ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"), ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
     ("fe80::1%eth0", "fe80::/64"), ("client", "client"), ("x" * 46, "x" * 45)],
)  # fmt: skip
def test_what_clients_are_counted_by(host: str, network: str):
    """A household is one network, and what is no address is counted by its first characters."""
    assert network_of(host) == network
