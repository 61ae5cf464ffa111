"""Accepting connections no faster than they are served, and no more than there is room for."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from service.server import doorway as doorway_module
from service.server.doorway import doorway_of
from service.server.paced_accept import Acceptor, new_event_loop

NOTHING = b"\r\n"


class Greeter(asyncio.Protocol):
    """Says hello, and takes a place until its peer says something."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._doorway = doorway_of(asyncio.get_running_loop())
        self._doorway.enter(self)
        transport.write(b"hello")

    def may_go(self) -> bool:
        return True

    def let_go(self) -> None:
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        self._doorway.leave(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._doorway.leave(self)


@pytest.fixture
async def two_places(monkeypatch) -> AsyncIterator[tuple[str, int]]:
    """The address of a server with two places for those that say nothing."""
    monkeypatch.setattr(doorway_module, "LEAST_GRACE", 0.05)
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(doorway_of(loop), "most", 2)
    listener = socket.create_server(("127.0.0.1", 0))
    acceptor = Acceptor(loop, listener, Greeter)
    acceptor.listen(10)
    yield listener.getsockname()
    acceptor.close()
    await acceptor.wait_closed()


async def test_a_newcomer_takes_the_place_of_the_one_silent_for_longest(two_places) -> None:
    """It waits until that one was silent for long enough, and is greeted then."""
    async with asyncio.timeout(5):
        others = [await asyncio.open_connection(*two_places) for _ in range(3)]
        for reader, _ in others:
            assert await reader.readexactly(5) == b"hello"
        with contextlib.suppress(ConnectionError):
            assert await others[0][0].read() == b""
    for _, writer in others:
        writer.close()


async def test_who_says_something_makes_room(two_places) -> None:
    """Ten come one after the other, and all stay."""
    async with asyncio.timeout(5):
        others = []
        for _ in range(10):
            others.append(await asyncio.open_connection(*two_places))
            assert await others[-1][0].readexactly(5) == b"hello"
            others[-1][1].write(NOTHING)
        await asyncio.sleep(0)
    assert not [reader for reader, _ in others if reader.at_eof()]
    for _, writer in others:
        writer.close()


def test_the_loop_accepts_at_its_pace_and_leaves_other_servers_alone() -> None:
    """A server on a socket gets an `Acceptor`, with small packets sent at once; one by address is the loop's own."""
    loop = new_event_loop()

    async def greet() -> tuple[object, object, int]:
        listener = socket.create_server(("127.0.0.1", 0))
        paced = await loop.create_server(Greeter, sock=listener, backlog=10)
        own = await loop.create_server(Greeter, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        await reader.readexactly(5)
        (greeter,) = doorway_of(loop)._inside
        delay = greeter.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()
        paced.close()
        own.close()
        return paced, own, delay

    paced, own, delay = loop.run_until_complete(greet())
    loop.close()
    assert isinstance(paced, Acceptor)
    assert not isinstance(own, Acceptor)
    assert delay


@pytest.mark.extension
@pytest.mark.parametrize("files", [100, 4096], ids=["more than it may open files", "more than it has places"])
async def test_silent_sockets_lock_nobody_out(start_service, connect, session_id, files: int) -> None:
    """Beside 300 of them a player comes in and plays, and who plays goes on."""
    service = start_service(prefix=("sh", "-c", f'ulimit -n {files}; exec "$@"', "sh"))
    player = await connect(service.ws_url)
    await player.join("alice", session_id)
    parts = urlsplit(service.url)
    with contextlib.ExitStack() as silent:
        for _ in range(300):
            silent.enter_context(socket.create_connection((parts.hostname, parts.port), timeout=10))
        newcomer = await connect(service.ws_url, open_timeout=20)
        await newcomer.join("bob", session_id)
        assert (await player.score(5))["score"] == 5
        await newcomer.board(lambda board: board["leaderboard"] != [])
    assert not [line for line in service.log if "Traceback" in line]
