"""The fan-out extension: slow and dead sockets cost nobody else anything."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from peer import Peer
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode

from service.app import create_app
from service.core.errors import CloseCode
from service.server import uvicorn_protocol
from service.server.gc_freeze import GcFreezer
from service.server.listening_socket import bind, url_of
from service.server.outbound import OutgoingBatch, broadcast, takes_nothing, text_frame
from service.server.uvicorn_server import LeaderboardServer, configure
from service.settings import Settings


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_a_prebuilt_frame_is_what_the_library_would_send(size: int):
    """Every form of the length field is right."""
    from websockets.frames import Frame, Opcode

    payload = b"x" * size
    assert text_frame(payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)


def test_a_batch_is_its_frames_in_order():
    """Several messages leave in one write."""
    assert OutgoingBatch(b"a", b"b").wire == text_frame(b"a") + text_frame(b"b")


def test_a_changed_uvicorn_turns_the_extension_off(monkeypatch, caplog):
    """The self-check names what is missing and the service runs without."""
    assert uvicorn_protocol.protocol_class() is uvicorn_protocol.FanoutProtocol
    monkeypatch.delattr(WebSocketsSansIOProtocol, "keepalive_timeout")
    monkeypatch.setattr(uvicorn_protocol, "WebSocketsSansIOProtocol", WebSocketsSansIOProtocol)
    assert uvicorn_protocol.protocol_class() is None
    assert "keepalive_timeout" in caplog.text


async def test_between_two_messages_of_a_packet_others_have_their_turn():
    """However many a client sends at once, the loop runs once for each; the last one, alone, is taken at once."""
    protocol = uvicorn_protocol.FanoutProtocol.__new__(uvicorn_protocol.FanoutProtocol)
    protocol.queue, protocol.read_paused = asyncio.Queue(), False
    turns: list[str] = []

    async def take() -> None:
        for number in range(3):
            protocol.queue.put_nowait({"number": number})
        for _ in range(3):
            message = await protocol.receive()
            turns.append(f"message {message['number']}")

    async def others() -> None:
        for _ in range(3):
            turns.append("another")
            await asyncio.sleep(0)

    await asyncio.gather(take(), others())
    assert turns == ["another", "message 0", "another", "message 1", "another", "message 2"]


async def deaf_watcher(url: str, session_id: str) -> Peer:
    """A watcher with a small window who never reads after the snapshot."""
    host, port = url.removeprefix("ws://").removesuffix("/ws").split(":")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect((host, int(port)))
    peer = await Peer.connect(url, sock=raw)
    await peer.send("watch-demo", sessionId=session_id)
    await peer.board()
    peer.socket.transport.pause_reading()
    return peer


@pytest.mark.extension
async def test_a_reader_that_stops_is_given_up_and_delays_nobody(connect, start_service, http, session_id):
    """Others keep their pace while it is stuck; after five seconds it is ended and counted as 4408."""
    service = start_service("--top", "1000", "--tick-ms", "20", "--rate", "1000", "--burst", "1000")
    player = await connect(service.ws_url)
    await player.join("alice", session_id)
    await http.post(f"{service.url}/api/demo/populate", params={"sessionId": session_id})
    deaf = [await deaf_watcher(service.ws_url, session_id) for _ in range(3)]
    began = time.monotonic()
    slowest = 0.0
    metrics = ""
    while 'code="4408"} 3.0' not in metrics:
        assert time.monotonic() - began < 20, "the stuck readers were not given up"
        for _ in range(20):
            sent = time.monotonic()
            answer = await player.score(1)
            await player.board(lambda board, wanted=answer["version"]: board["version"] >= wanted)
            slowest = max(slowest, time.monotonic() - sent)
        metrics = (await http.get(f"{service.url}/metrics")).text
    assert time.monotonic() - began > uvicorn_protocol.STALL_SECONDS - 1
    # Whoever had to wait for a stuck reader would wait until it is given up.
    assert slowest < uvicorn_protocol.STALL_SECONDS / 2
    health = (await http.get(f"{service.url}/health")).json()
    assert health["activeConnections"] == 1
    for one in deaf:
        one.socket.transport.abort()


@pytest.mark.extension
async def test_a_reader_that_comes_back_gets_the_latest_board(connect, start_service, session_id):
    """What it missed is not sent after it: the next frame it gets is the present one, with no updates counted."""
    service = start_service("--top", "1000", "--tick-ms", "20", "--rate", "100000", "--burst", "100000")
    player = await connect(service.ws_url)
    await player.join("alice", session_id)
    slow = await deaf_watcher(service.ws_url, session_id)
    version = 0
    for _ in range(150):
        version = (await player.score(1))["version"]
        await player.board(lambda board, wanted=version: board["version"] >= wanted)
    slow.socket.transport.resume_reading()
    last = await slow.board(lambda board: board["version"] == version)
    boards = [data for kind, data in slow.seen if kind == "leaderboard-update"]
    versions = [board["version"] for board in boards]
    assert versions == sorted(versions)
    assert len(boards) < 150
    assert last["updates"] == 0
    slow.socket.transport.abort()


@pytest.mark.extension
def test_a_frame_too_large_tells_its_code_to_who_sends_before_reading(service):
    """All of it can be sent, without a reset, and then the close frame is there to read."""
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n".encode()
        )
        assert client.recv(4096).startswith(b"HTTP/1.1 101")
        size = 16_000_000
        client.sendall(b"\x81\xff" + size.to_bytes(8) + b"\0\0\0\0" + b"x" * size)
        answer = client.recv(4096)
        assert answer[0] == 0x88
        assert int.from_bytes(answer[2:4]) == 1009


async def test_nothing_is_compressed(connect, shared_service):
    """A client that offers it gets no for an answer, so a small frame cannot become a large one."""
    peer = await connect(shared_service.ws_url, compression="deflate")
    assert "permessage-deflate" in peer.socket.request.headers["Sec-WebSocket-Extensions"]
    assert "Sec-WebSocket-Extensions" not in peer.socket.response.headers


@pytest.mark.extension
async def test_a_stopping_service_says_1012_and_does_not_wait_for_stuck_readers(
    connect, start_service, http, session_id
):
    """Who reads learns that the service restarts; who does not is cut off."""
    # uvicorn's own patience with a socket that does not drain is two seconds; a busy machine may take as long once.
    for _ in range(3):
        took = await _stop_beside_a_stuck_reader(connect, start_service, http, session_id)
        if took < 2:
            return
    raise AssertionError(f"expected to stop within 2 s, took {took:.1f} s")


async def _stop_beside_a_stuck_reader(connect, start_service, http, session_id) -> float:
    service = start_service("--tick-ms", "20", "--rate", "1000", "--burst", "1000")
    player = await connect(service.ws_url)
    await player.join("alice", session_id)
    deaf = await deaf_watcher(service.ws_url, session_id)
    while "leaderboard_passed_over_total 0.0" in (await http.get(f"{service.url}/metrics")).text:
        for _ in range(20):
            await player.score(1)
            await player.board()
    began = time.monotonic()
    service.process.terminate()
    assert await player.close_code() == 1012
    await asyncio.to_thread(service.process.wait, 10)
    took = time.monotonic() - began
    deaf.socket.transport.abort()
    return took


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[tuple[LeaderboardServer, str]]]]:
    """Serve in this process, where a test can look inside: the server and the address to connect to."""
    servings: list[tuple[LeaderboardServer, asyncio.Task[None]]] = []

    async def begin(**tls: object) -> tuple[LeaderboardServer, str]:
        settings = Settings.read(port=0)
        config = configure(settings, create_app(settings))
        for name, value in tls.items():
            setattr(config, name, value)
        server, listener = LeaderboardServer(config, settings), bind(settings)
        servings.append((server, asyncio.create_task(server.serve(sockets=[listener]))))
        while not server.started:
            await asyncio.sleep(0)
        return server, url_of(listener).replace("http", "wss" if tls else "ws", 1) + "/ws"

    yield begin
    for server, serving in servings:
        server.should_exit = True
        await serving
    gc.unfreeze()


def protocol_of(server: LeaderboardServer) -> uvicorn_protocol.FanoutProtocol:
    """The one connection that is open."""
    (protocol,) = (one for one in server.server_state.connections if isinstance(one, uvicorn_protocol.FanoutProtocol))
    return protocol


async def test_a_packet_of_many_messages_is_read_a_part_at_a_time(connect, serve):
    """So it holds nobody up; all of it is dealt with in the end, and no more is read meanwhile."""
    server, url = await serve()
    peer = await connect(url)
    await peer.join("alice")
    protocol = protocol_of(server)
    tiny = Frame(Opcode.TEXT, b"x").serialize(mask=True)
    protocol.data_received(tiny * 30_000)
    assert 0 < protocol.queue.qsize() <= uvicorn_protocol.SLICE / len(tiny)
    assert not protocol.transport.is_reading()
    assert await peer.close_code() == 4429


async def test_a_large_packet_is_read_to_its_end(connect, serve):
    """Frames that are cut by the parts are whole again, and reading goes on after it."""
    server, url = await serve()
    peer = await connect(url)
    protocol = protocol_of(server)
    large = Frame(Opcode.TEXT, b'{"type":"ping","data":{"t":1,"x":"%s"}}' % (b"x" * 3000)).serialize(mask=True)
    protocol.data_received(large * 10)
    for _ in range(10):
        await peer.next("pong")
    await peer.send("ping", t=2)
    assert (await peer.next("pong"))["t"] == 2


async def test_who_goes_on_after_the_close_is_cut_off(connect, serve):
    """A client that is no longer listened to does not cost as before."""
    server, url = await serve()
    peer = await connect(url)
    protocol = protocol_of(server)
    await protocol.outlet.close(CloseCode.WRONG_FRAMES)
    tiny = Frame(Opcode.TEXT, b"x").serialize(mask=True)
    async with asyncio.timeout(5):
        while not protocol.transport.is_closing():
            protocol.data_received(tiny)
            await asyncio.sleep(0)
    await peer.socket.wait_closed()


@pytest.mark.parametrize("ending", ["closed", "cut"])
async def test_a_connection_that_ended_is_freed_without_the_garbage_collector(connect, serve, ending):
    """No cycle is left through it, however it ended, so a frozen heap does not leak."""
    server, url = await serve()
    peer = await connect(url)
    await peer.join("alice")
    protocol = protocol_of(server)
    left = [weakref.ref(protocol), weakref.ref(protocol.conn)]
    del protocol
    gc.disable()
    try:
        if ending == "closed":
            await peer.close()
        else:
            peer.socket.transport.abort()
        async with asyncio.timeout(5):
            while any(one() is not None for one in left):
                await asyncio.sleep(0)
    finally:
        gc.enable()


async def test_under_tls_boards_go_through_the_transport(connect, serve):
    """What the kernel is given directly would be in the clear."""
    folder = Path(__file__).with_name("tls")
    server, url = await serve(ssl_certfile=str(folder / "localhost.pem"), ssl_keyfile=str(folder / "localhost.key"))
    context = ssl.create_default_context(cafile=str(folder / "localhost.pem"))
    peers = [await connect(url, ssl=context) for _ in range(2)]
    for peer, user in zip(peers, ["alice", "bob"], strict=True):
        await peer.join(user)
    assert all(
        one.outlet.push is takes_nothing
        for one in server.server_state.connections
        if isinstance(one, uvicorn_protocol.FanoutProtocol)
    )
    await peers[0].score(5)
    for peer in peers:
        assert (await peer.next("leaderboard-update"))["leaderboard"][0]["score"] == 5


async def test_what_a_full_socket_did_not_take_follows_in_order(connect, serve):
    """A frame is cut wherever the kernel stops taking; the reader finds none broken and none twice."""
    server, url = await serve()
    peer = await connect(url, max_queue=1)
    await peer.join("alice")
    outlet = protocol_of(server).outlet
    sent = 0
    while outlet.writable:
        # Larger than any buffer is a multiple of, so that the cut falls inside a frame.
        broadcast([outlet], OutgoingBatch(b'{"type":"filler","data":{"n":%d,"x":"%s"}}' % (sent, b"x" * 4999)))
        sent += 1
    assert sent > 1
    for number in range(sent):
        assert (await peer.next("filler"))["n"] == number


def test_the_heap_is_frozen_as_connections_come_and_thawed_when_all_are_gone(monkeypatch):
    """Frozen by the hundred; looked through again when nobody is there to wait."""
    monkeypatch.setattr(gc, "collect", lambda: 0)
    heap = GcFreezer()
    try:
        before = gc.get_freeze_count()
        heap.freeze_new(opened=99, open_now=99)
        assert gc.get_freeze_count() == before
        heap.freeze_new(opened=100, open_now=100)
        assert gc.get_freeze_count() > before
        gc.unfreeze()
        heap.freeze_new(opened=150, open_now=150)
        assert gc.get_freeze_count() == 0
        heap.freeze_new(opened=150, open_now=0)
        assert gc.get_freeze_count() > 0
        gc.unfreeze()
        heap.freeze_new(opened=150, open_now=0)
        assert gc.get_freeze_count() == 0
    finally:
        gc.unfreeze()
