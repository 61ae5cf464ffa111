"""Ports of loopback: free ones, and served ones."""

from __future__ import annotations

import socket

from loadtest.target.ports import free_port, is_served


def test_a_free_port_can_be_bound():
    """Nothing is there, and a server can be."""
    port = free_port()
    assert not is_served(port)
    with socket.create_server(("127.0.0.1", port)):
        assert is_served(port)
    assert not is_served(port)
