"""How many sessions a connection, and all connections from one address, may bring into being in a minute."""

from __future__ import annotations

from typing import Final

from service.core.errors import ErrorCode, Refused
from service.core.local_addresses import is_loopback, network_of
from service.core.rate_limit import SlidingWindow, WindowByNetwork

PERIOD: Final = 60.0  # seconds


class SessionOpenings:
    """What all connections of this process have opened lately; one may open `most`, an address `most_of_address`."""

    def __init__(self, most: int, most_of_address: int) -> None:
        self.most = most
        self.most_of_address = most_of_address
        self.by_network = WindowByNetwork(most_of_address, PERIOD)


class ConnectionOpenings:
    """What one connection has opened lately. `host` is the client's address, None where it has none."""

    def __init__(self, shared: SessionOpenings, host: str | None) -> None:
        self._shared = shared
        self._own = SlidingWindow(shared.most, PERIOD)
        self._network = network_of(host) if host and not is_loopback(host) else None  # swarms and proxies are exempt

    def check(self, now: float) -> None:
        """Raise `Refused` (`limit`) if one more would be too many; changes nothing."""
        _refuse(self._own.wait(now), self._shared.most, "connection")
        if self._network is not None:
            _refuse(self._shared.by_network.wait(self._network, now), self._shared.most_of_address, "address")

    def add(self, now: float) -> None:
        """Count a session that comes into being."""
        self._own.add(now)
        if self._network is not None:
            self._shared.by_network.add(self._network, now)


def _refuse(wait: float, most: int, what: str) -> None:
    if wait:
        raise Refused(
            ErrorCode.LIMIT,
            f"expected at most {most} new sessions a minute from one {what}, got one more; "
            f"join one that exists, or try again in {wait:.1f} s",
            retry_after=round(wait, 3),
        )
