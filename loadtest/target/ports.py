"""Ports of this machine: a free one for a program that cannot choose its own, and whether one is served."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"
_CONNECTS_WITHIN = 1.0  # seconds; longer only where the queue of a server is full


def free_port() -> int:
    """A port of loopback that nothing uses now; another process may take it before it is used."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def is_served(port: int) -> bool:
    """Whether a server accepts connections at this port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(_CONNECTS_WITHIN)
        return probe.connect_ex((LOOPBACK, port)) == 0
