"""A client that does nothing wrong while others do: it asks at a steady pace, and notes when it was answered."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass, field
from typing import Self

import websockets
from peer import Peer

EVERY = 0.05  # seconds: as often as the service's default rate allows
PATIENCE = 1.0  # seconds after which an answer counts as missing


@dataclass
class Answers:
    """What a bystander got."""

    asked: int = 0
    seconds: list[float] = field(default_factory=list)  # until each answer

    @property
    def missing(self) -> int:
        """Questions without an answer in time."""
        return self.asked - len(self.seconds)

    def quantile(self, part: float) -> float:
        """Milliseconds; nan if nothing was answered."""
        ordered = sorted(self.seconds)
        return ordered[min(int(len(ordered) * part), len(ordered) - 1)] * 1000 if ordered else float("nan")

    def __str__(self) -> str:
        return (
            f"bystander {len(self.seconds)} of {self.asked} answers, "
            f"p99 {self.quantile(0.99):.1f} ms, longest {self.quantile(1):.0f} ms"
        )


class Bystander:
    """One connection, opened before the first question; one that is lost is opened again."""

    def __init__(self, url: str, *, every: float = EVERY, patience: float = PATIENCE) -> None:
        self._url = url
        self._every = every
        self._patience = patience
        self._peer: Peer | None = None

    async def __aenter__(self) -> Self:
        self._peer = await Peer.connect(self._url, compression=None)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._peer is not None:
            await self._peer.close()

    async def ask(self, answers: Answers, times: int | None = None) -> None:
        """Ask so many times, else until cancelled."""
        asked = -self._every
        for _ in range(times) if times is not None else itertools.count():
            # It does not catch up after a wait: a burst would be limited, as anybody's.
            await asyncio.sleep(max(0.0, asked + self._every - time.monotonic()))
            answers.asked += 1
            asked = time.monotonic()
            if await self._is_answered(asked):
                answers.seconds.append(time.monotonic() - asked)

    async def _is_answered(self, mark: float) -> bool:
        try:
            async with asyncio.timeout(self._patience):
                self._peer = self._peer or await Peer.connect(self._url, compression=None)
                await self._peer.send("ping", t=mark)
                await self._peer.next("pong", lambda pong: pong["t"] == mark, self._patience)
                self._peer.seen.clear()
        except (TimeoutError, AssertionError):
            return False
        except (OSError, websockets.WebSocketException):
            self._peer = None
            return False
        return True
