"""A network that fails on demand: a TCP proxy on loopback between one worker and Redis.

Each fault is what a network really does: a reset, a pause after which every byte arrives, an address
where nobody listens, a connection that takes bytes and carries them nowhere. The last kind ends in
a reset, because a connection that has lost bytes never carries later ones.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Literal, Self

HOST = "127.0.0.1"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, no time
Direction = Literal["to redis", "from redis"]


class Proxy:
    """Forwards `port` to the Redis at `target`, which wants `password`. One fault at a time."""

    def __init__(self, target: int, password: str = "") -> None:
        self.port = 0
        self.target = target
        self.password = password
        self.held = False
        self.swallows: Direction | None = None
        self.links: set[Link] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where the worker finds its Redis."""
        return f"redis://:{self.password}@{HOST}:{self.port}"

    async def listen(self) -> None:
        """Accept connections; again on the same port after `close`."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                lambda: Link(self).worker, HOST, self.port, reuse_address=True, backlog=128
            )
            self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Reset every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def cut(self) -> None:
        """Reset every connection."""
        for link in list(self.links):
            link.reset()

    async def hold(self, seconds: float) -> None:
        """Let every byte wait for so long, then deliver all of them in order."""
        self.held = True
        self._regulate()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.held = False
            self._regulate()

    async def delay(self, seconds: float) -> None:
        """Deliver what present connections say to Redis so much later, also when they end meanwhile; not new ones."""
        late = [link for link in self.links if link.late is None]
        for link in late:
            link.late = []
        try:
            await asyncio.sleep(seconds)
        finally:
            for link in late:
                link.deliver()

    async def half_open(self, seconds: float, direction: Direction) -> None:
        """Swallow what goes in one direction; at the end reset the connections that lost something."""
        self.swallows = direction
        try:
            await asyncio.sleep(seconds)
        finally:
            self.swallows = None
            for link in [link for link in self.links if link.torn]:
                link.reset()

    async def refuse(self, seconds: float) -> None:
        """Reset every connection and refuse new ones for so long."""
        self.close()
        await asyncio.sleep(seconds)
        await self.listen()

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.close()

    def _regulate(self) -> None:
        for link in self.links:
            link.regulate()


class Link:
    """A worker's connection and the one to Redis that belongs to it."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.torn = False  # some bytes were swallowed
        self.late: list[bytes] | None = []  # what Redis is to hear later, first of all when it is connected
        self.worker = End(self)
        self.redis = End(self)
        self._opening: asyncio.Task[None] | None = None

    def made(self, end: End) -> None:
        """One side stands; the worker's comes first and waits for the other."""
        if end is self.worker:
            self.proxy.links.add(self)
            self._opening = asyncio.create_task(self._open())
        else:
            self.deliver()
        # uvloop begins to read after this call, whatever is asked for in it.
        asyncio.get_running_loop().call_soon(self.regulate)

    def take(self, end: End, data: bytes) -> None:
        """Pass on what one side said."""
        direction: Direction = "to redis" if end is self.worker else "from redis"
        if self.proxy.swallows == direction:
            self.torn = True
            return
        if end is self.worker and self.late is not None:
            self.late.append(data)
            return
        self.other(end).write(data)

    def deliver(self) -> None:
        """Let Redis hear what was kept from it, and the end of it."""
        late, self.late = self.late or [], None
        self.redis.write(b"".join(late))
        if self.worker.transport is None:
            self.redis.close()

    def lost(self, end: End) -> None:
        """With one side the other goes, too."""
        self.proxy.links.discard(self)
        if self._opening is not None:
            self._opening.cancel()
        if end is self.redis or self.late is None:
            self.other(end).close()

    def reset(self) -> None:
        """End both sides with a reset."""
        self.worker.close(reset=True)
        self.redis.close(reset=True)

    def regulate(self) -> None:
        """Read from a side only when the other one can take it now."""
        for end in (self.worker, self.redis):
            other = self.other(end)
            end.read(not self.proxy.held and other.transport is not None and not other.full)

    def other(self, end: End) -> End:
        """The opposite side."""
        return self.redis if end is self.worker else self.worker

    async def _open(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.redis, HOST, self.proxy.target)
        except OSError:
            self.reset()


class End(asyncio.Protocol):
    """One side of a link."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.transport: asyncio.Transport | None = None
        self.full = False
        self._reads = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.link.made(self)

    def data_received(self, data: bytes) -> None:
        self.link.take(self, data)

    def pause_writing(self) -> None:
        self.full = True
        self.link.regulate()

    def resume_writing(self) -> None:
        self.full = False
        self.link.regulate()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.link.lost(self)

    def read(self, wanted: bool) -> None:
        """Go on or stop reading."""
        if self.transport is None or self.transport.is_closing() or wanted == self._reads:
            return
        self._reads = wanted
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def write(self, data: bytes) -> None:
        """Send to this side, if it still stands."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def close(self, *, reset: bool = False) -> None:
        """End this side."""
        if self.transport is None or self.transport.is_closing():
            return
        if reset:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self.transport.abort()
        else:
            self.transport.close()
