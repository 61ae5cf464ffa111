"""Raw connections to a service: what was drawn is sent, and the connection is answered, ended, or lives as it must."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from urllib.parse import urlsplit

from fuzz import frames, heads, messages
from fuzz.tally import Tally

from loadtest.transport.frames import CLOSE, BrokenStream, FrameReader
from service.core.errors import CloseCode, ErrorCode

PATIENCE = 20.0  # seconds; a request's time is up after 10
NO_PORT_PAUSE = 1.0  # seconds until the kernel has ports again
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)
BATCH = 50  # messages before a ping; the contract ends a connection after a hundred wrong ones in a row
OUR_CODES = {int(code) for code in CloseCode} | {1000, 1001, 1002, 1003, 1006, 1007, 1009}
ERROR_CODES = {str(code.value) for code in ErrorCode}


class Wire:
    """One connection, and what the service said on it as a WebSocket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._frames = FrameReader(self._text, self._control)
        self.texts: list[dict[str, object]] = []
        self.closed_with: int | None = None
        self.ended = False

    async def write(self, data: bytes) -> None:
        """Send; one that has ended does not hear it."""
        if self._writer.is_closing():
            return
        with contextlib.suppress(OSError):
            self._writer.write(data)
            await self._writer.drain()

    def finish(self) -> None:
        """Say that nothing more is sent, so that a service that waits for more ends it."""
        with contextlib.suppress(OSError):
            self._writer.write_eof()

    async def read(self) -> bytes:
        """Whatever comes next; nothing at the end."""
        try:
            data = await self._reader.read(65_536)
        except OSError:
            data = b""
        self.ended = not data
        return data

    async def upgrade(self, early: bytes = b"") -> bool:
        """Become a WebSocket; return whether it did."""
        await self.write(HANDSHAKE + early)
        head = b""
        while b"\r\n\r\n" not in head:
            part = await self.read()
            if not part:
                return False
            head += part
        head, _, rest = head.partition(b"\r\n\r\n")
        self._take(rest)
        return head.startswith(b"HTTP/1.1 101")

    async def take(self) -> None:
        """Read frames once. Raises `BrokenStream` for what is none."""
        self._take(await self.read())

    def abort(self) -> None:
        """End it with a reset, so that its port is free at once."""
        inner = self._writer.get_extra_info("socket")
        if inner is not None:
            with contextlib.suppress(OSError):
                inner.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def _take(self, data: bytes) -> None:
        self._frames.feed(bytearray(data), len(data))

    def _text(self, data: bytearray, start: int, stop: int) -> None:
        self.texts.append(json.loads(data[start:stop]))

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == CLOSE:
            self.closed_with = int.from_bytes(payload[:2]) if payload else 1005


@asynccontextmanager
async def wire(url: str) -> AsyncIterator[Wire]:
    """A connection that is reset at the end; waits where this machine has no port left."""
    parts = urlsplit(url)
    while True:
        try:
            made = Wire(*await asyncio.open_connection(parts.hostname, parts.port))
            break
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            await asyncio.sleep(NO_PORT_PAUSE)
    try:
        yield made
    finally:
        made.abort()


async def play_frames(tally: Tally, number: int, rng: Random, url: str, frames_each: int) -> None:
    """One WebSocket: all of a plan, then a probe, which is answered unless the connection ended before."""
    plan = frames.plan(rng, frames_each)
    sent = b"".join(plan.pieces)
    async with wire(url) as one:
        early = rng.random() < 0.2
        upgraded = await one.upgrade(plan.pieces[0] if early else b"")
        if not upgraded:
            tally.find(number, "no upgrade", sent)
        for piece in plan.pieces[early:]:
            await one.write(piece)
        tally.done += plan.frames
        if not plan.ends_whole:
            tally.outcomes["left unfinished"] += 1
            return
        await one.write(frames.probe(rng))
        try:
            async with asyncio.timeout(PATIENCE):
                while not one.ended and not any(map(_answers_probe, one.texts)):
                    await one.take()
        except TimeoutError:
            tally.find(number, f"neither answered nor ended within {PATIENCE:g} s", sent)
        except (BrokenStream, ValueError) as error:
            tally.find(number, f"the service sent what is no frame: {error}", sent)
        _note_end(tally, number, one, sent)


def _note_end(tally: Tally, number: int, one: Wire, sent: bytes) -> None:
    if not one.ended:
        tally.outcomes["answered"] += 1
    elif one.closed_with is None:
        tally.outcomes["ended without a code"] += 1
    else:
        tally.outcomes[str(one.closed_with) if one.closed_with in OUR_CODES else "the client's code"] += 1
    strange = {str(code) for text in one.texts if (code := _code(text)) is not None} - ERROR_CODES
    if strange:
        tally.find(number, f"unknown error codes {strange}", sent)


def _answers_probe(text: dict[str, object]) -> bool:
    data = text["data"]
    assert isinstance(data, dict)
    return data.get("t") == frames.PROBE or data.get("code") == "rate-limited"


def _code(text: dict[str, object]) -> object:
    data = text["data"]
    return data["code"] if text["type"] == "error" and isinstance(data, dict) else None


async def play_messages(tally: Tally, number: int, rng: Random, url: str, many: int) -> None:
    """One WebSocket that sends messages in batches; after each, a ping is answered."""
    async with wire(url) as one:
        await one.upgrade()
        for batch in range(-(-many // BATCH)):
            made = [messages.message(rng) for _ in range(min(BATCH, many - batch * BATCH))]
            await one.write(b"".join(frames.frame(rng, frames.TEXT, text.encode()) for text in made))
            await one.write(frames.frame(rng, frames.TEXT, b'{"type":"ping","data":{"t":%d}}' % (frames.PROBE + batch)))
            tally.done += len(made)
            if not await _is_answered(one, frames.PROBE + batch):
                tally.find(number, f"batch {batch} ended with {one.closed_with} without an answer", made)
                return
            for text in one.texts:
                tally.outcomes[str(_code(text) or text["type"])] += 1
            one.texts.clear()


async def _is_answered(one: Wire, mark: int) -> bool:
    with contextlib.suppress(TimeoutError, BrokenStream, ValueError):
        async with asyncio.timeout(PATIENCE):
            while not one.ended:
                if any(text["type"] == "pong" and text["data"]["t"] == mark for text in one.texts):  # type: ignore[index]
                    return True
                await one.take()
    return False


async def play_head(tally: Tally, number: int, rng: Random, url: str) -> None:
    """One connection with one head: a whole one is answered, and nothing is answered with a fault of the server."""
    made = heads.head(rng)
    async with wire(url) as one:
        await one.write(made.data)
        if not made.is_whole:
            one.finish()
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await one.read()
        except TimeoutError:
            answer = None
        tally.done += 1
    if answer is None:
        tally.find(number, f"neither answered nor ended within {PATIENCE:g} s", made.data)
        return
    status = answer[9:12].decode("latin-1") if answer.startswith(b"HTTP/1.1 ") else "no status" if answer else "ended"
    tally.outcomes[status] += 1
    if status == "no status" or status.startswith("5") or (made.is_whole and not answer):
        tally.find(number, status, made.data)
