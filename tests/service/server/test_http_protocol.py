"""What a connection may do before it is a WebSocket: each wrong head gets its status at once, and nobody hangs."""

from __future__ import annotations

import asyncio
import gc
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from urllib.parse import urlsplit

import pytest
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.app import create_app
from service.server import http_protocol
from service.server.http_protocol import BoundedHttpProtocol
from service.server.listening_socket import bind
from service.server.request_bounds import RequestBounds
from service.server.uvicorn_server import LeaderboardServer, configure
from service.settings import Settings

pytestmark = pytest.mark.extension

KB = 1024
HOST = b"Host: localhost\r\n"
GET = b"GET /health HTTP/1.1\r\n" + HOST
KEY = b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
VERSION = b"Sec-WebSocket-Version: 13\r\n"
ASKS = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
SHAKE = ASKS + VERSION + KEY
UPGRADE = b"GET /ws HTTP/1.1\r\n" + HOST + SHAKE
END = b"\r\n"
PING = b"\x89\x80\0\0\0\0"
CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"
HELLO = b"\x81\x99\0\0\0\0" + b'{"type":"ping","data":{}}'


def up_to(size: int, head: bytes) -> bytes:
    """The head with one more header, so that it has this size."""
    return head + b"X: " + b"x" * (size - len(head) - len(b"X: \r\n\r\n")) + b"\r\n\r\n"


def headers(number: int) -> bytes:
    return b"".join(b"X-%d: x\r\n" % each for each in range(number))


# Each: what is sent, and the status that comes back; several where several requests are sent.
HEADS: dict[str, tuple[bytes, list[int]]] = {
    "a head of 16 KB": (up_to(16 * KB, GET), [200]),
    "a head of a byte more": (up_to(16 * KB + 1, GET), [431]),
    "a header of 1 MB": (up_to(1024 * KB, GET), [431]),
    "a header without an end": (GET + b"X: " + b"x" * 20 * KB, [431]),
    "a header's name without an end": (GET + b"x" * 20 * KB, [431]),
    "a header of blanks": (GET + b"X:" + b" " * 20 * KB + b"x\r\n\r\n", [431]),
    "100 headers": (GET + headers(99) + END, [200]),
    "101 headers": (GET + headers(100) + END, [431]),
    "5000 headers": (GET + headers(5000) + END, [431]),
    "empty headers without an end": (GET + b"x:\r\n" * 200, [431]),
    "a URL of 8 KB": (b"GET /health?" + b"x" * (8 * KB - 8) + b" HTTP/1.1\r\n" + HOST + END, [200]),
    "a URL of a byte more": (b"GET /health?" + b"x" * (8 * KB - 7) + b" HTTP/1.1\r\n" + HOST + END, [414]),
    "a URL of 60 KB": (b"GET /" + b"x" * 60 * KB + b" HTTP/1.1\r\n" + HOST + END, [414]),
    "a URL without an end": (b"GET /" + b"x" * 9 * KB, [414]),
    "empty lines before": (END * 5 + GET + END, [200]),
    "empty lines without an end": (END * 10 * KB, [431]),
    "a body of 70 KB": (b"POST /health HTTP/1.1\r\n" + HOST + b"Content-Length: 71680\r\n\r\n", [413]),
    "a body of 10^18 bytes": (
        b"POST /health HTTP/1.1\r\n" + HOST + b"Content-Length: 1" + b"0" * 18 + b"\r\n\r\n",
        [413],
    ),
    "a small body": (b"POST /health HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello", [405]),
    "a chunked body": (
        b"POST /health HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        [405],
    ),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 200, [400]),
    "SSH": (b"SSH-2.0-OpenSSH_9.2\r\n", [400]),
    "a frame": (HELLO, [400]),
    "zeros": (bytes(300), [400]),
    "every byte": (bytes(range(256)), [400]),
    "a word": (b"hello\r\n\r\n", [400]),
    "a method only": (b"GET\r\n\r\n", [400]),
    "an unknown method": (b"FROB / HTTP/1.1\r\n" + HOST + END, [400]),
    "a method in lower case": (b"get / HTTP/1.1\r\n" + HOST + END, [400]),
    "no version": (b"GET /\r\n\r\n", [400]),
    "HTTP/9.9": (b"GET / HTTP/9.9\r\n" + HOST + END, [400]),
    "HTTP/2 at once": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    "HTTP/2 asked for": (
        GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
        [200],
    ),
    "line feeds only": (b"GET / HTTP/1.1\nHost: localhost\n\n", [400]),
    "carriage returns only": (b"GET / HTTP/1.1\rHost: localhost\r\r", [400]),
    "a zero in a value": (GET + b"X: a\0b\r\n\r\n", [400]),
    "a zero in a name": (GET + b"X\0: a\r\n\r\n", [400]),
    "a header without a colon": (GET + b"hello\r\n\r\n", [400]),
    "a blank before the colon": (GET + b"X : a\r\n\r\n", [400]),
    "a folded header": (GET + b"X: a\r\n b\r\n\r\n", [400]),
    "a header without a name": (GET + b": a\r\n\r\n", [400]),
    "two lengths": (GET + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\na", [400]),
    "a length and chunks": (GET + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [400]),
    "a negative length": (GET + b"Content-Length: -1\r\n\r\n", [400]),
    "a length in words": (GET + b"Content-Length: five\r\n\r\n", [400]),
    "a length beyond 64 bits": (GET + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n", [400]),
    "an unknown encoding": (b"POST /health HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: frob\r\n\r\n", [405]),
    "a blank in the URL": (b"GET /a b HTTP/1.1\r\n" + HOST + END, [400]),
    "a URL that is not ASCII": ("GET /ä HTTP/1.1\r\n".encode() + HOST + END, [400]),
    "a URL of percent signs": (b"GET /%%%ff%zz HTTP/1.1\r\n" + HOST + END, [404]),
    "a URL of dots": (b"GET /../../etc/passwd HTTP/1.1\r\n" + HOST + END, [404]),
    "a whole URL": (b"GET http://elsewhere/health HTTP/1.1\r\n" + HOST + END, [200]),
    "no URL but a star": (b"OPTIONS * HTTP/1.1\r\n" + HOST + END, [404]),
    "CONNECT": (b"CONNECT elsewhere:80 HTTP/1.1\r\n" + HOST + END, [400]),
    "TRACE": (b"TRACE /health HTTP/1.1\r\n" + HOST + END, [405]),
    "HTTP/1.0": (b"GET /health HTTP/1.0\r\n" + HOST + END, [200]),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", [400]),
    "two Hosts": (b"GET / HTTP/1.1\r\n" + HOST + HOST + END, [400]),
    "two requests in a packet": ((GET + END) * 2, [200, 200]),
    "300 requests in a packet": ((GET + END) * 300, [200] * 300),
    "garbage behind a request": (GET + END + b"garbage\r\n\r\n", [200]),
    "a head too large behind a request": (GET + END + up_to(17 * KB, GET), [200]),
    "a request behind the last one": (GET + b"Connection: close\r\n\r\n" + GET + END, [200]),
}
UPGRADES: dict[str, tuple[bytes, list[int]]] = {
    "a handshake": (UPGRADE + END, [101]),
    "a cookie of 9 KB": (UPGRADE + b"Cookie: " + b"x" * 9 * KB + b"\r\n\r\n", [101]),
    "a head of 16 KB": (up_to(16 * KB, UPGRADE), [101]),
    "a head of a byte more": (up_to(16 * KB + 1, UPGRADE), [431]),
    "two cookies of 7 KB": (UPGRADE + (b"Cookie: " + b"x" * 7 * KB + b"\r\n") * 2 + END, [101]),
    "100 headers": (UPGRADE + headers(95) + END, [101]),
    "101 headers": (UPGRADE + headers(96) + END, [431]),
    "140 headers": (UPGRADE + headers(140) + END, [431]),
    "a URL of 8 KB": (b"GET /ws?" + b"x" * (8 * KB - 4) + b" HTTP/1.1\r\n" + HOST + SHAKE + END, [101]),
    "a URL of a byte more": (b"GET /ws?" + b"x" * (8 * KB - 3) + b" HTTP/1.1\r\n" + HOST + SHAKE + END, [414]),
    "a body": (UPGRADE + b"Content-Length: 5\r\n\r\nhello", [400]),
    "a body that does not come": (UPGRADE + b"Content-Length: 5\r\n\r\n", [400]),
    "a body of no bytes": (UPGRADE + b"Content-Length: 0\r\n\r\n", [101]),
    "chunks": (UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n", [400]),
    "an encoding that is none": (UPGRADE + b"Transfer-Encoding: identity\r\n\r\n", [400]),
    "POST": (b"POST /ws HTTP/1.1\r\n" + HOST + SHAKE + END, [405]),
    "HTTP/1.0": (b"GET /ws HTTP/1.0\r\n" + HOST + SHAKE + END, [101]),
    "another version": (UPGRADE.replace(b"Version: 13", b"Version: 12") + END, [400]),
    "no version": (UPGRADE.replace(VERSION, b"") + END, [400]),
    "no key": (UPGRADE.replace(KEY, b"") + END, [400]),
    "a short key": (UPGRADE.replace(KEY, b"Sec-WebSocket-Key: MDEy\r\n") + END, [400]),
    "a key of no base64": (UPGRADE.replace(KEY, b"Sec-WebSocket-Key: \xff\xff\r\n") + END, [400]),
    "two keys": (UPGRADE + KEY + END, [400]),
    "an extension that cannot be read": (UPGRADE + b"Sec-WebSocket-Extensions: ;;=,\r\n\r\n", [101]),
    "protocols that cannot be read": (UPGRADE + b"Sec-WebSocket-Protocol: ,,;\x80\r\n\r\n", [400]),
    "a value that is not ASCII": (UPGRADE + b"X: \xe4\xff\r\n\r\n", [101]),
    "a zero in a value": (UPGRADE + b"X: a\0b\r\n\r\n", [400]),
    "a header without a colon": (UPGRADE + b"hello\r\n\r\n", [400]),
    "another path": (UPGRADE.replace(b"/ws", b"/elsewhere") + END, [403]),
    "a whole URL": (UPGRADE.replace(b"/ws", b"http://elsewhere/ws") + END, [403]),
    "a URL that is not ASCII": (UPGRADE.replace(b"/ws", "/ä".encode()) + END, [400]),
    "another site's Origin": (UPGRADE + b"Origin: http://elsewhere\r\n\r\n", [403]),
    "the Origin null": (UPGRADE + b"Origin: null\r\n\r\n", [403]),
    "two Origins": (UPGRADE + b"Origin: http://localhost\r\n" * 2 + END, [400]),
    "another Host": (UPGRADE.replace(HOST, b"Host: elsewhere\r\n") + END, [400]),
    "no Host": (UPGRADE.replace(HOST, b"") + END, [400]),
    "no Connection": (UPGRADE.replace(b"Connection: Upgrade\r\n", b"") + END, [404]),
    "Connection with more": (UPGRADE.replace(b"n: Upgrade", b"n: keep-alive, UPGRADE") + END, [101]),
    "another protocol": (UPGRADE.replace(b": websocket", b": frob") + END, [404]),
    "a choice of protocols": (UPGRADE.replace(b": websocket", b": websocket, h2c") + END, [404]),
    "frames behind it": (UPGRADE + END + HELLO, [101]),
    "a ping behind it": (UPGRADE + END + PING, [101]),
    "a close behind it": (UPGRADE + END + CLOSE, [101]),
    "garbage behind it": (UPGRADE + END + b"\xff" * 50, [101]),
    "a refusal with frames behind it": (UPGRADE + b"Origin: null\r\n\r\n" + HELLO + PING + CLOSE, [403]),
    "behind a request": (GET + END + UPGRADE + END, [200]),
    "before a request": (UPGRADE + END + GET + END, [101]),
}  # fmt: skip


def connection_to(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=10)


def statuses(client: socket.socket, sent: bytes, expected: int) -> list[int]:
    """Send it, and read the status lines until there are so many, or to the end where an answer announces it.

    Ten silent seconds fail.
    """
    client.sendall(sent)
    received = b""
    while True:
        found = [int(one) for one in re.findall(rb"HTTP/1\.1 (\d{3})", received)]
        goes_on = len(found) < expected or b"connection: close" in received.lower()
        data = client.recv(65_536) if goes_on else b""
        if not data:
            return found
        received += data


@pytest.mark.parametrize("name", HEADS)
def test_a_head_gets_its_status_at_once(shared_service, name: str) -> None:
    """What is refused is the last answer of its connection."""
    sent, expected = HEADS[name]
    with connection_to(shared_service.url) as client:
        assert statuses(client, sent, len(expected)) == expected


@pytest.mark.parametrize("name", UPGRADES)
def test_an_upgrade_gets_its_status_at_once(shared_service, name: str) -> None:
    """None hangs, however wrong it is."""
    sent, expected = UPGRADES[name]
    with connection_to(shared_service.url) as client:
        assert statuses(client, sent, len(expected)) == expected


@pytest.mark.parametrize("split", [1, 7, 4095, 4096])
def test_a_head_may_come_in_pieces(shared_service, split: int) -> None:
    """However they are cut, it is one head, and its bounds are the same."""
    whole = UPGRADE + b"Cookie: " + b"x" * 9 * KB + b"\r\n\r\n" if split > 1000 else UPGRADE + END
    with connection_to(shared_service.url) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(whole) - split, split):
            client.sendall(whole[start : start + split])
        assert statuses(client, whole[start + split :], 1) == [101]


def test_frames_that_came_too_early_are_answered_after_the_handshake(shared_service) -> None:
    """The answer to a ping behind the head does not come before the answer to the head."""
    with connection_to(shared_service.url) as client:
        client.sendall(UPGRADE + END + PING + HELLO)
        received = b""
        while b'"pong"' not in received:
            data = client.recv(65_536)
            assert data, received
            received += data
    head, _, frames = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101")
    assert frames.startswith(b"\x8a\x00")


def test_nothing_of_it_is_more_than_a_line_of_the_log(shared_service) -> None:
    """No head above causes a traceback."""
    with connection_to(shared_service.url) as client:
        assert statuses(client, b"garbage\r\n\r\n", 1) == [400]
    assert not [line for line in shared_service.log if "Traceback" in line or "ERROR" in line]


# Time. The bounds are the same ones, only shorter.

SHORT = RequestBounds(head_seconds=0.2, body_seconds=0.2, unread_seconds=0.3)


@asynccontextmanager
async def serving(bounds: RequestBounds = SHORT) -> AsyncIterator[tuple[str, int]]:
    """Serve in this process with given bounds: host and port."""
    settings = Settings.read(port=0)
    config = configure(settings, create_app(settings))
    config.http = partial(BoundedHttpProtocol, bounds=bounds)
    server, listener = LeaderboardServer(config, settings), bind(settings)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0)
    yield listener.getsockname()[:2]
    server.should_exit = True
    await task
    gc.unfreeze()


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[tuple[str, int]]]]:
    """Begin to serve as `serving` does."""
    async with AsyncExitStack() as stack:
        yield lambda *bounds: stack.enter_async_context(serving(*bounds))


LATE = {
    "silence": (b"", b""),
    "a part of a head": (b"GET / HT", b"HTTP/1.1 408"),
    "an empty line": (b"\r\n", b"HTTP/1.1 408"),
    "a part of an upgrade": (UPGRADE, b"HTTP/1.1 408"),
    "a part of a second head": (GET + END + b"GET / HT", b"HTTP/1.1 200"),
}


@pytest.mark.parametrize("name", LATE)
async def test_a_head_that_does_not_come_ends_the_connection(serve, name: str) -> None:
    """With 408, if there was a part of it; a client that says nothing is not answered."""
    sent, answer = LATE[name]
    before = http_protocol.doorway_of(asyncio.get_running_loop()).refused[408]
    reader, writer = await asyncio.open_connection(*await serve())
    writer.write(sent)
    async with asyncio.timeout(5):
        received = await reader.read()
    assert received.startswith(answer)
    assert (b" 408 " in received) == (name != "silence")
    assert http_protocol.doorway_of(asyncio.get_running_loop()).refused[408] == before + (name != "silence")
    writer.close()


async def test_a_head_that_comes_byte_by_byte_has_no_more_time(serve) -> None:
    """Each byte is a sign of life, and the whole is late all the same."""
    reader, writer = await asyncio.open_connection(*await serve())
    received = b""
    async with asyncio.timeout(5):
        while not received:
            writer.write(b"x")
            try:
                async with asyncio.timeout(0.02):
                    received = await reader.read(100)
            except TimeoutError:
                continue
    assert received.startswith(b"HTTP/1.1 4")
    writer.close()


async def test_a_body_that_does_not_come_ends_the_connection(serve) -> None:
    """The request is answered, as no call needs its body, and then nobody waits for more."""
    reader, writer = await asyncio.open_connection(*await serve())
    writer.write(b"POST /health HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\n")
    async with asyncio.timeout(5):
        received = await reader.read()
    assert [int(one) for one in re.findall(rb"HTTP/1\.1 (\d{3})", received)] == [405]
    writer.close()


async def test_an_answer_that_is_not_read_ends_the_connection(serve) -> None:
    """Its bytes are kept for a bounded time only."""
    host, port = await serve()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, (host, port))
        await loop.sock_sendall(client, (b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\n" + HOST + END) * 3)
        async with asyncio.timeout(10):
            while http_protocol.doorway_of(loop)._inside:
                await asyncio.sleep(0.01)


def test_an_answer_to_a_lost_connection_goes_nowhere(monkeypatch, capsys) -> None:
    """Also where a second request had come behind the one that is answered."""
    whole = BoundedHttpProtocol.on_message_complete
    came = []

    def lose(self: BoundedHttpProtocol) -> None:
        whole(self)
        came.append(self)
        if len(came) == 2:
            self.transport.abort()

    async def ask() -> None:
        async with serving() as place:
            reader, writer = await asyncio.open_connection(*place)
            writer.write(b"GET /static/board.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2)
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()

    monkeypatch.setattr(BoundedHttpProtocol, "on_message_complete", lose)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ask())
    assert len(came) == 2
    assert "Traceback" not in capsys.readouterr().err


async def test_a_socket_is_no_longer_counted_once_it_is_a_websocket(serve, connect) -> None:
    """However long it stays, it takes no place from those that come."""
    host, port = await serve()
    peer = await connect(f"ws://{host}:{port}/ws")
    assert not len(http_protocol.doorway_of(asyncio.get_running_loop()))
    await peer.join("alice")


def test_a_changed_uvicorn_turns_the_bounds_off(monkeypatch, caplog) -> None:
    """The self-check names what is missing, and the service runs without."""
    assert isinstance(http_protocol.http_protocol(RequestBounds()), partial)
    monkeypatch.delattr(HttpToolsProtocol, "_should_upgrade")
    assert http_protocol.http_protocol(RequestBounds()) == "auto"
    assert "_should_upgrade" in caplog.text
