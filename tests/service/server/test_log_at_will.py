"""What a client does makes at most a line of each kind and second, and no traceback, however the service is served."""

from __future__ import annotations

import collections
import contextlib
import json
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from loadtest.target.processes import Child, Service, WatchedCommand

pytestmark = pytest.mark.starts_process

HOST = b"Host: localhost\r\n"
GET = b"GET /health HTTP/1.1\r\n" + HOST
UPGRADE = (
    b"GET /ws HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
)
NO_TEXT = b"\x81\x81\0\0\0\0\xff"
PING = b"\x89\x80\0\0\0\0"
CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"
JOIN = b'{"type":"join-demo","data":{"userId":"alice"}}'
TIMES = 20

# What is sent before there is a WebSocket, and what afterwards.
TRICKS: dict[str, tuple[bytes, bytes]] = {
    "garbage": (b"\x16\x03\x01\r\n\r\n", b""),
    "HTTP/2": (GET + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", b""),
    "another site's Origin": (UPGRADE + b"Origin: http://elsewhere\r\n\r\n", b""),
    "another Host": (UPGRADE.replace(HOST, b"Host: elsewhere\r\n") + b"\r\n", b""),
    "another path": (UPGRADE.replace(b"/ws", b"/elsewhere") + b"\r\n", b""),
    "a handshake that is none": (UPGRADE.replace(b"Key", b"Kex") + b"\r\n", b""),
    "no text": (UPGRADE + b"\r\n", NO_TEXT),
    "no text, and a ping": (UPGRADE + b"\r\n", NO_TEXT + PING),
    "no text, and a close": (UPGRADE + b"\r\n", NO_TEXT + CLOSE),
    "a player, and no text": (UPGRADE + b"\r\n", b"\x81\xae\0\0\0\0" + JOIN + NO_TEXT),
    "a reserved opcode": (UPGRADE + b"\r\n", b"\x83\x80\0\0\0\0"),
    "a frame too large": (UPGRADE + b"\r\n", b"\x81\xff" + (1 << 40).to_bytes(8) + b"\0\0\0\0"),
    "a wrong frame": (UPGRADE + b"\r\n", b"\x81\x81\0\0\0\0x" + CLOSE),
    "a close, and more": (UPGRADE + b"\r\n", CLOSE + PING + NO_TEXT),
    "nothing": (b"", b""),
}


def play(url: str, before: bytes, after: bytes) -> None:
    """Send it, and read to the end, or end it after its answer."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as client, contextlib.suppress(OSError):
        client.sendall(before)
        if before and client.recv(65_536).startswith(b"HTTP/1.1 101"):
            client.sendall(after)
            while client.recv(65_536):
                pass


def told(child: Child, url: str) -> tuple[list[str], float]:
    """The lines of the log after all tricks, and the seconds that they took."""
    began, before = time.monotonic(), len(child.log)
    for before_it, after in TRICKS.values():
        for _ in range(TIMES):
            play(url, before_it, after)
    # What was logged before the answer to this is in the log once its own line is, or once the process has ended.
    seconds = time.monotonic() - began
    child._end()
    return child.log[before:], seconds


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[..., Child]]:
    """Start a service that a test ends."""
    with contextlib.ExitStack() as running:
        yield running.enter_context


@pytest.mark.extension
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_the_service_says_little_and_nothing_wrong(start, as_json: bool) -> None:
    """No traceback, no error, and each kind once a second; as JSON, each line is an object with its event."""
    service = start(Service(["--log-json"] if as_json else []))
    lines, seconds = told(service, service.url)
    assert not [line for line in lines if "Traceback" in line or " ERROR " in line or '"error"' in line]
    if as_json:
        kinds = collections.Counter((one["event"], one.get("code")) for one in map(json.loads, lines))
        assert {"refused-request", "refused-frame"} <= {event for event, _ in kinds}
    else:
        kinds = collections.Counter(re.sub(r"\d", "", line.partition(" (and ")[0]) for line in lines)
    assert not {kind: many for kind, many in kinds.items() if many > seconds + 1}


def test_plain_uvicorn_says_little_too(start) -> None:
    """No traceback; lines of uvicorn's own, with addresses in them, once a second for each status."""
    command = [sys.executable, "-m", "uvicorn", "service.main:app", "--port", "0"]
    uvicorn = start(WatchedCommand("uvicorn", command, heard=lambda line: "running on" in line, together=True))
    found = re.search(r"running on (http://\S+)", uvicorn.hear(30.0))
    assert found is not None
    assert [line for line in uvicorn.log if "--h11-max-incomplete-event-size" in line]
    lines, seconds = told(uvicorn, found[1])
    assert not [line for line in lines if "Traceback" in line or "ERROR" in line]
    kinds = collections.Counter(re.sub(r"\d", "", line.partition(" (and ")[0]) for line in lines)
    assert not {kind: many for kind, many in kinds.items() if many > 4 * (seconds + 1)}
