"""The contract of the comparison programs, for those that are written in Python."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import uvicorn

Board = dict[str, Any]


def announce(port: int, pid: int | None = None) -> None:
    """Say where the server is, and which process it is when it is another one than this."""
    sys.stdout.write(json.dumps({"port": port, "pid": pid or os.getpid()}) + "\n")
    sys.stdout.flush()


async def boards() -> AsyncIterator[Board]:
    """The boards to send, each at its time. What cannot be sent in time is left out. Ends with stdin."""
    loop = asyncio.get_running_loop()
    orders: asyncio.Queue[str] = asyncio.Queue()
    follow_stdin(lambda line: loop.call_soon_threadsafe(orders.put_nowait, line))
    period, board, version, due = 0.0, {}, 0, 0.0
    while True:
        if not period or not orders.empty():
            line = await orders.get()
            if not line:
                return
            order = json.loads(line)
            period, board = (1 / order["hz"] if order["hz"] else 0.0), order["board"]
            due = loop.time()
            continue
        await asyncio.sleep(due - loop.time())
        version += 1
        board["version"], board["sentAt"] = version, round(time.time() * 1000, 3)
        yield board
        due = max(due + period, loop.time())


def follow_stdin(take: Callable[[str], object]) -> None:
    """Call `take` with each line of stdin, in a thread, and with an empty one at the end."""

    def read() -> None:
        for line in sys.stdin:
            take(line)
        take("")

    threading.Thread(target=read, name="orders", daemon=True).start()


def serve(app: Any) -> None:
    """Run the ASGI app under uvicorn with its defaults, on a free port of loopback."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    announce(listener.getsockname()[1])
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
