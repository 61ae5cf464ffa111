"""The FastAPI broadcast of its documentation: the text is made once and awaited client by client."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from loadtest.bench.peers.peer_contract import boards, serve

clients: list[WebSocket] = []


async def broadcast() -> None:
    """Send until the orders end."""
    async for board in boards():
        text = json.dumps({"type": "leaderboard-update", "data": board}, separators=(",", ":"), ensure_ascii=False)
        for client in clients.copy():
            await client.send_text(text)
    os._exit(0)  # nobody is left who would wait for a clean end


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Broadcast as long as the app runs."""
    task = asyncio.create_task(broadcast())
    yield
    task.cancel()


app = FastAPI(lifespan=lifespan)


@app.websocket("/ws")
async def websocket(socket: WebSocket) -> None:
    """One client."""
    await socket.accept()
    clients.append(socket)
    try:
        while True:
            await socket.receive_text()
    except WebSocketDisconnect:
        clients.remove(socket)


if __name__ == "__main__":
    serve(app)
