"""The websockets library's own server and its `broadcast`, on uvloop where that exists."""

from __future__ import annotations

import asyncio
import json
from importlib.util import find_spec

from websockets.asyncio.server import ServerConnection, broadcast, serve

from loadtest.bench.peers.peer_contract import announce, boards

clients: set[ServerConnection] = set()


async def handler(client: ServerConnection) -> None:
    """One client."""
    clients.add(client)
    try:
        await client.wait_closed()
    finally:
        clients.discard(client)


async def main() -> None:
    """Serve and send until the orders end."""
    async with serve(handler, "127.0.0.1", 0, compression=None, backlog=2048) as server:
        announce(next(iter(server.sockets)).getsockname()[1])
        async for board in boards():
            text = json.dumps({"type": "leaderboard-update", "data": board}, separators=(",", ":"), ensure_ascii=False)
            broadcast(clients, text)


if __name__ == "__main__":
    if find_spec("uvloop") is None:
        asyncio.run(main())
    else:
        import uvloop

        uvloop.run(main())
