"""Simulated players against a small server that closes their connections."""

from __future__ import annotations

import asyncio

import pytest
from cockpit.live import bots
from cockpit.live.bots import Bots
from websockets.asyncio.server import ServerConnection, serve

from loadtest.transport.reconnect import FOREIGN, TOO_FAST


@pytest.mark.parametrize(("code", "comes_back"), [(FOREIGN, False), (TOO_FAST, True), (1001, True)])
async def test_a_bot_reconnects_as_the_close_code_says(
    monkeypatch: pytest.MonkeyPatch, code: int, comes_back: bool
) -> None:
    """One that the service does not want back stops and is reported; any other waits as its close code demands."""
    connections: list[ServerConnection] = []
    waited: list[int | None] = []
    reports: list[str] = []

    async def close(connection: ServerConnection) -> None:
        connections.append(connection)
        await connection.close(code)

    def wait(_attempt: int, after: int | None, _rng: object) -> float:
        waited.append(after)
        return 0.01

    monkeypatch.setattr(bots, "wait_before", wait)
    async with serve(close, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        crowd = Bots(f"ws://127.0.0.1:{port}/ws", "DEMO123", lambda _, error: reports.append(str(error)))
        crowd.resize(1, 0.0)
        async with asyncio.timeout(10):
            while len(connections) < 2 and not reports:
                await asyncio.sleep(0.01)
        await crowd.close()
    assert (len(connections) >= 2) is comes_back
    assert set(waited) == ({code} if comes_back else set())
    assert reports == ([] if comes_back else [
        "the service closed a connection permanently (4403): it does not accept this origin"
    ])  # fmt: skip
