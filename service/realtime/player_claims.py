"""The users whom one connection has claimed, where players are locked: who plays first is the only one who can."""

from __future__ import annotations

import time

from service.core.player_claim import Claim, connection_holder
from service.core.protocol import JoinDemo
from service.stores.base import Store


class ConnectionClaims:
    """The claims of the connection with that number. Users whom it holds without a secret are free when it ends."""

    def __init__(self, store: Store, number: int) -> None:
        self._store = store
        self._connection = connection_holder(store.worker, number)
        self._held: set[tuple[str, str]] = set()  # sessions and users, without a secret

    async def make(self, join: JoinDemo) -> None:
        """Claim the user that is joined. Raises `Refused`: `taken`, and as `Store.check_join`."""
        await self._store.claim(Claim(join.session_id, join.user_id, self._connection, join.given_secret), time.time())
        place = (join.session_id, join.user_id)
        if join.given_secret is None:
            self._held.add(place)
        else:
            self._held.discard(place)

    def release(self) -> None:
        """The connection has ended."""
        for session_id, user_id in self._held:
            self._store.release(session_id, user_id, self._connection)
        self._held.clear()
