"""python-socketio's asynchronous server under uvicorn, and its `emit` to everybody."""

from __future__ import annotations

import asyncio
import os

import socketio  # type: ignore[import-not-found,import-untyped,unused-ignore]

from loadtest.bench.peers.peer_contract import boards, serve

server = socketio.AsyncServer(async_mode="asgi")
running: set[asyncio.Task[None]] = set()


async def broadcast() -> None:
    """Send until the orders end."""
    async for board in boards():
        await server.emit("leaderboard-update", board)
    os._exit(0)  # nobody is left who would wait for a clean end


async def start() -> None:
    """Broadcast as long as the app runs."""
    running.add(asyncio.create_task(broadcast()))


if __name__ == "__main__":
    serve(socketio.ASGIApp(server, on_startup=start))
