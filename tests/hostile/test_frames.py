"""What wrong frames leave as it was: who plays, others' boards, the log."""

from __future__ import annotations

import asyncio

import pytest
from raw_client import frame
from websockets.frames import Opcode


async def test_who_plays_goes_on_playing_after_wrong_frames(connect, ws_url, session_id):
    """A wrong frame takes nothing from a player."""
    peer = await connect(ws_url)
    await peer.join("alice", session_id)
    await peer.raw('{"type":"join-demo","data":{"userId":"not valid"}}')
    await peer.raw('{"type":"watch-demo","data":{"sessionId":"not valid"}}')
    assert [(await peer.error())["code"] for _ in range(2)] == ["bad-message"] * 2
    assert (await peer.score(5))["score"] == 5


@pytest.mark.parametrize(("size", "fits"), [(4096, True), (4097, False), (5000, False)])
async def test_a_frame_may_have_4096_bytes(connect, ws_url, size, fits):
    """Counted in bytes, not in characters; one more closes with 1009."""
    text = '{"type":"ping","data":{"x":"' + "ä" * ((size - 31) // 2)
    text += "x" * (size - 3 - len(text.encode())) + '"}}'
    assert len(text.encode()) == size
    peer = await connect(ws_url)
    await peer.raw(text)
    if fits:
        await peer.next("pong")
    else:
        assert await peer.close_code() == 1009


async def test_sockets_that_vanish_leave_nobody_behind(connect, ws_url, session_id):
    """A cut connection is a leave like any other."""
    watcher = await connect(ws_url)
    await watcher.send("watch-demo", sessionId=session_id)
    await watcher.board()
    for number in range(5):
        peer = await connect(ws_url)
        await peer.join(f"ghost-{number}", session_id)
        peer.socket.transport.abort()
    await watcher.next("participant-left", lambda left: left["totalParticipants"] == 0)


async def test_the_log_stays_small_whatever_a_client_sends(connect, service):
    """What one client can cause as often as it likes is counted, not logged."""
    for _ in range(20):
        peer = await connect(service.ws_url)
        peer.socket.transport.write(frame(Opcode.TEXT, b"\xff\xfe"))
        assert await peer.close_code() == 1007
        peer = await connect(service.ws_url)
        await peer.raw("wrong \x1b[31m")
        await peer.error()
        peer.socket.transport.abort()
    probe = await connect(service.ws_url)
    await asyncio.wait_for(probe.join("alice"), 5)
    assert len(service.log) < 5, service.log
