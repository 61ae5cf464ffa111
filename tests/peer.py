"""A client of the wire contract for tests: it sends what it is told and waits for what it expects."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, Self

import websockets
from websockets.asyncio.client import ClientConnection

PATIENCE = 5.0  # seconds until an expected message counts as missing


class Peer:
    """One socket. Everything it received is in `seen`, in order, as (type, data)."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.seen: list[tuple[str, dict[str, Any]]] = []

    @classmethod
    async def connect(cls, url: str, **options: Any) -> Self:
        """Connect; `options` go to `websockets.connect`."""
        given = {"ping_interval": None, "max_queue": None, "proxy": None} | options
        return cls(await websockets.connect(url, **given))

    async def send(self, kind: str, **data: Any) -> None:
        """Send one message."""
        await self.socket.send(json.dumps({"type": kind, "data": data}))

    async def raw(self, frame: str | bytes) -> None:
        """Send one frame as it is."""
        await self.socket.send(frame)

    async def join(self, user_id: str, session_id: str = "DEMO123", **more: Any) -> dict[str, Any]:
        """Join and wait for the whole reply; return the snapshot."""
        await self.send("join-demo", userId=user_id, sessionId=session_id, **more)
        snapshot = await self.next("leaderboard-update")
        await self.next("user-rank-update", lambda rank: rank["userId"] == user_id)
        return snapshot

    async def score(self, points: int, **more: Any) -> dict[str, Any]:
        """Send points and return the answer: that to the same `opId`, where one is given."""
        await self.send("update-score", points=points, **more)
        return await self.next(
            "user-rank-update", lambda rank: "points" in rank and more.get("opId") in {None, rank["opId"]}
        )

    async def receive(self, timeout: float = PATIENCE) -> tuple[str, dict[str, Any]]:
        """The next message, whatever it is. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            frame = json.loads(await self.socket.recv())
        self.seen.append((frame["type"], frame["data"]))
        return self.seen[-1]

    async def next(
        self, kind: str, where: Callable[[dict[str, Any]], bool] = lambda _data: True, timeout: float = PATIENCE
    ) -> dict[str, Any]:
        """The next message of this type for which `where` holds; others are passed over."""
        end = time.monotonic() + timeout
        while True:
            try:
                got, data = await self.receive(end - time.monotonic())
            except TimeoutError:
                raise AssertionError(f"expected {kind}, got only {self.seen[-5:]}") from None
            if got == kind and where(data):
                return data

    async def board(self, where: Callable[[dict[str, Any]], bool] = lambda _data: True) -> dict[str, Any]:
        """The next board for which `where` holds."""
        return await self.next("leaderboard-update", where)

    async def error(self) -> dict[str, Any]:
        """The next error."""
        return await self.next("error")

    async def settled(self) -> list[tuple[str, dict[str, Any]]]:
        """Everything that came before the answer to a ping sent now."""
        mark = len(self.seen)
        await self.send("ping", t=mark)
        await self.next("pong", lambda pong: pong["t"] == mark)
        return self.seen[mark:-1]

    async def close_code(self) -> int | None:
        """Read to the end of the connection and return the code it was closed with."""
        while True:
            try:
                await self.receive(10)
            except websockets.ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd is not None else None

    async def close(self) -> None:
        """Close the socket."""
        await self.socket.close()
