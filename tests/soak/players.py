"""A fixed set of players in a fixed set of sessions: they score at a steady pace, come, go, and change sessions."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from websockets.exceptions import InvalidHandshake

from loadtest.transport.asyncio_socket import Ended, Wire

STAY = 20.0  # seconds in a session, on the average
PAUSE = 0.5  # seconds before a player is back, on the average


@dataclass
class Crowd:
    """All players; counts what they did."""

    url: str
    sessions: int
    updates: float  # a second, of all
    op_ids: bool
    counts: Counter[str] = field(default_factory=Counter)

    async def play(self, players: int, seed: int) -> None:
        """Play until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(players):
                player = Player(self, f"soak-{number}", Random(f"{seed} {number}"), players / self.updates)
                group.create_task(player.play())


class Player:
    """One user, who is in one session at a time."""

    def __init__(self, crowd: Crowd, user_id: str, rng: Random, period: float) -> None:
        self._crowd = crowd
        self._user_id = user_id
        self._rng = rng
        self._period = period  # seconds between two updates
        self._sent = 0

    async def play(self) -> None:
        """Come, score, go, again and again."""
        await asyncio.sleep(self._rng.uniform(0, self._period))
        while True:
            try:
                await self._visit()
            except (Ended, OSError, InvalidHandshake) as lost:
                self._crowd.counts[f"lost: {type(lost).__name__}"] += 1
            await asyncio.sleep(self._rng.expovariate(1 / PAUSE))

    async def _visit(self) -> None:
        wire = await Wire.connect(self._crowd.url, lambda: None)
        try:
            for _ in range(self._rng.choice((1, 1, 2))):
                await self._join(wire)
                await self._score_for(wire, self._rng.expovariate(1 / STAY))
        except BaseException:
            wire.abort()
            raise
        # Half of them are cut, as phones are.
        self._rng.choice((wire.close, wire.abort))()
        self._crowd.counts["visits"] += 1

    async def _join(self, wire: Wire) -> None:
        session = f"SOAK{self._rng.randrange(self._crowd.sessions)}"
        await wire.ask(_text("join-demo", userId=self._user_id, sessionId=session), lambda _rank: True)

    async def _score_for(self, wire: Wire, seconds: float) -> None:
        due, end = time.monotonic(), time.monotonic() + seconds
        while due < end:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            answer = await wire.ask(self._update(), lambda rank: "points" in rank)
            self._crowd.counts["updates" if "points" in answer else answer["code"]] += 1
            due = max(due + self._period, time.monotonic())

    def _update(self) -> bytes:
        self._sent += 1
        op_id = {"opId": f"{self._user_id}-{self._sent:08}"} if self._crowd.op_ids else {}
        return _text("update-score", points=self._rng.randint(-50, 100), **op_id)


def _text(kind: str, **data: object) -> bytes:
    return json.dumps({"type": kind, "data": data}).encode()
