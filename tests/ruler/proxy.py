"""A TCP proxy of known faults: what goes from the service to the client is late, or loses frames."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import urlsplit


class Proxy:
    """Stands before a service. Each byte to a client is `delay` seconds late; of all frames each `drop`-th is lost."""

    def __init__(self, target: str, *, delay: float = 0.0, drop: int = 0) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname, parts.port)
        self._delay = delay
        self._drop = drop
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.frames = 0
        self.dropped = 0
        self.url = ""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        from_service, to_service = await asyncio.open_connection(*self._target)
        late: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        ways = [
            asyncio.create_task(way)
            for way in (self._up(reader, to_service), self._down(from_service, late), self._pour(late, writer))
        ]
        try:
            # The client went, or has all that the service said.
            await asyncio.wait([ways[0], ways[2]], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for one in (writer, to_service):
                one.close()
            self._connections.discard(task)

    async def _up(self, reader: asyncio.StreamReader, to_service: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                to_service.write(data)

    async def _down(self, reader: asyncio.StreamReader, late: asyncio.Queue[tuple[float, bytes]]) -> None:
        """Take what the service says, frame by frame once it speaks WebSocket, and note when it may go on."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self._put(late, head)
            if head.startswith(b"HTTP/1.1 101"):
                while True:
                    frame = await _frame(reader)
                    self.frames += 1
                    if self._drop and self.frames % self._drop == 0:
                        self.dropped += 1
                    else:
                        self._put(late, frame)
            while data := await reader.read(65536):
                self._put(late, data)
        # The end is late, too.
        self._put(late, b"")

    def _put(self, late: asyncio.Queue[tuple[float, bytes]], data: bytes) -> None:
        late.put_nowait((asyncio.get_running_loop().time() + self._delay, data))

    async def _pour(self, late: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        while True:
            due, data = await late.get()
            if self._delay and (wait := due - asyncio.get_running_loop().time()) > 0:
                await asyncio.sleep(wait)
            if not data:
                return
            writer.write(data)


async def _frame(reader: asyncio.StreamReader) -> bytes:
    """One whole frame of a server, which masks none."""
    start = await reader.readexactly(2)
    size = start[1] & 127
    if size >= 126:
        more = await reader.readexactly(2 if size == 126 else 8)
        start += more
        size = int.from_bytes(more)
    return start + await reader.readexactly(size)
