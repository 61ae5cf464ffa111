"""How many wrong admin tokens an address may send: ten at once, then ten a minute."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from service.core.local_addresses import network_of
from service.core.rate_limit import TokenBucket

AT_ONCE: Final = 10
A_SECOND: Final = 1 / 6
MOST_ADDRESSES: Final = 1024  # that are remembered; beyond, the one that has been silent for longest is forgotten


class WrongTokens:
    """Counts tries by address, in bounded memory, and holds nobody: who tries too often is told to wait.

    Callers behind one address share its tries, so a stranger beside the host can delay the host.
    """

    def __init__(self) -> None:
        self._tries: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        """How many addresses are remembered."""
        return len(self._tries)

    def take(self, address: str, now: float) -> float:
        """Count a try and return 0; where there were too many, return the seconds until the next one."""
        network = network_of(address)
        tries = self._tries.get(network)
        if tries is None:
            tries = self._tries[network] = TokenBucket(A_SECOND, AT_ONCE, now)
            if len(self._tries) > MOST_ADDRESSES:
                self._tries.popitem(last=False)
        self._tries.move_to_end(network)
        return tries.take(now)

    def forget(self, address: str) -> None:
        """Forget the tries of an address, which had the right token."""
        self._tries.pop(network_of(address), None)
