"""What an address means."""

from __future__ import annotations

import pytest

from service.core.local_addresses import is_loopback


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True),
     ("::ffff:127.0.0.1", True), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("example", False)],
)  # fmt: skip
def test_what_counts_as_loopback(host: str, loopback: bool):
    """All of this machine's own addresses, in every spelling."""
    assert is_loopback(host) is loopback
