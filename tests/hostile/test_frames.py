"""Every kind of wrong frame: its code, and that the socket or the process lives as the contract says."""

from __future__ import annotations

import asyncio
import os

import pytest

NESTED = "[" * 1500 + "]" * 1500

WRONG = {
    "word": ("hello", "bad-json"),
    "empty": ("", "bad-json"),
    "deep nesting": (NESTED, "bad-json"),
    "deep nesting in data": ('{"type":"ping","data":' + NESTED + "}", "bad-json"),
    "nesting just allowed as a type": ('{"type":' + "[" * 150 + "]" * 150 + "}", "bad-message"),
    "lone surrogate": (r'{"type":"join-demo","data":{"userId":"a","username":"\udc00"}}', "bad-json"),
    "NaN": ('{"type":"update-score","data":{"points":NaN}}', "bad-message"),
    "Infinity": ('{"type":"update-score","data":{"points":Infinity}}', "bad-message"),
    "true as points": ('{"type":"update-score","data":{"points":true}}', "bad-message"),
    "text as points": ('{"type":"update-score","data":{"points":"5"}}', "bad-message"),
    "4000 digits": ('{"type":"update-score","data":{"points":' + "9" * 4000 + "}}", "bad-message"),
    "array": ("[]", "bad-message"),
    "no type": ('{"data":{}}', "bad-message"),
    "unknown type": ('{"type":"__proto__","data":{}}', "unknown-type"),
    "long unknown type": ('{"type":"' + "x" * 4000 + '"}', "unknown-type"),
    "not joined": ('{"type":"update-score","data":{"points":5}}', "not-joined"),
    "markup is no user id": ('{"type":"join-demo","data":{"userId":"<script>"}}', "bad-message"),
    "control characters in a name": (r'{"type":"join-demo","data":{"userId":"a","username":"a\u0007"}}', "bad-message"),
    "right-to-left override": (r'{"type":"join-demo","data":{"userId":"a","username":"\u202eadmin"}}', "bad-message"),
    "a name of marks": ('{"type":"join-demo","data":{"userId":"a","username":"Z\u0351\u036b\u0343"}}', "bad-message"),
    "a short secret": ('{"type":"join-demo","data":{"userId":"a","secret":"fifteen-letters"}}', "bad-message"),
    "a long secret": ('{"type":"join-demo","data":{"userId":"a","secret":"' + "x" * 65 + '"}}', "bad-message"),
    "markup as a secret": ('{"type":"join-demo","data":{"userId":"a","secret":"<script></script>"}}', "bad-message"),
    "a line feed behind a secret": (
        r'{"type":"join-demo","data":{"userId":"a","secret":"0123456789abcdef\n"}}',
        "bad-message",
    ),
    "a secret that is a number": (
        '{"type":"join-demo","data":{"userId":"a","secret":1234567890123456}}',
        "bad-message",
    ),
    "no secret at all": ('{"type":"join-demo","data":{"userId":"a","secret":null}}', "bad-message"),
    "binary": (b'{"type":"ping"}', "bad-message"),
    "empty binary": (b"", "bad-message"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_frame_gets_exactly_one_error_and_changes_nothing(connect, ws_url, name):
    """The socket stays open and usable."""
    frame, code = WRONG[name]
    peer = await connect(ws_url)
    await peer.raw(frame)
    errors = await peer.settled()
    assert [(kind, data["code"]) for kind, data in errors] == [("error", code)]
    assert "expected" in errors[0][1]["message"]
    assert len(errors[0][1]["message"]) < 300


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


@pytest.mark.parametrize("binary", [b"\x00" * 5000])
async def test_a_large_binary_frame_is_too_large(connect, ws_url, binary):
    """Size comes before kind."""
    peer = await connect(ws_url)
    await peer.raw(binary)
    assert await peer.close_code() == 1009


def masked(payload: bytes, opcode: int = 0x1) -> bytes:
    mask = os.urandom(4)
    assert len(payload) < 126
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


async def test_a_text_that_is_not_utf8_closes_with_1007(connect, ws_url):
    """The library does not let one through, so it is written to the transport by hand."""
    peer = await connect(ws_url)
    peer.socket.transport.write(masked(b"\xff\xfe"))
    assert await peer.close_code() == 1007


@pytest.mark.parametrize(
    "noise",
    [b"\xff" * 64, masked(b"x", opcode=0x3), b"\x81\x05hello", masked(b"half", opcode=0x0)],
    ids=["noise", "reserved opcode", "unmasked", "continuation of nothing"],
)
async def test_what_is_no_websocket_frame_closes_with_1002(connect, ws_url, noise):
    """A broken stream ends its own connection and no other."""
    peer, other = await connect(ws_url), await connect(ws_url)
    peer.socket.transport.write(noise)
    assert await peer.close_code() == 1002
    await other.send("ping")
    await other.next("pong")


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
        peer.socket.transport.write(masked(b"\xff\xfe"))
        assert await peer.close_code() == 1007
        peer = await connect(service.ws_url)
        await peer.raw("wrong \x1b[31m")
        await peer.error()
        peer.socket.transport.abort()
    probe = await connect(service.ws_url)
    await asyncio.wait_for(probe.join("alice"), 5)
    assert len(service.log) < 5, service.log
