"""A request-and-reply WebSocket client for asyncio, which drops boards and notices unread.

A thousand sockets all get every board and notice; decoding each of them with a general-purpose
client would cost more than the replay itself. So here, too, handshake, masking and close frames
come from the sans-I/O parts of `websockets`, and `frames.FrameReader` receives.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final, Self, cast

from websockets.exceptions import InvalidHandshake
from websockets.frames import Close, Frame, Opcode
from websockets.uri import parse_uri

from loadtest import access
from loadtest.transport.frames import CLOSE, PING, BrokenStream, FrameReader

PATIENCE: Final = 15.0  # seconds without an answer after which a connection counts as lost
_TYPE_AT: Final = len('{"type":"')
_ANSWERS: Final = frozenset(b"ue")  # user-rank-update, error: the first letters of what may be an answer


class Ended(Exception):
    """The connection is closed; `code` is the close code, None if there was none."""

    def __init__(self, code: int | None) -> None:
        super().__init__("the connection was closed" + ("" if code is None else f" with {code}"))
        self.code = code


class Wire(asyncio.Protocol):
    """One connection. `on_end` is called once, when it has ended."""

    def __init__(self, url: str, on_end: Callable[[], None]) -> None:
        self._handshake, self._request = access.opening(url)
        self._head = bytearray()
        self._reader = FrameReader(self._text, self._control)
        self._transport: asyncio.Transport | None = None
        self._on_end = on_end
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answer: asyncio.Future[dict[str, Any]] | None = None
        self._accepts: Callable[[dict[str, Any]], bool] | None = None
        self._open = False
        self.code: int | None = None
        self.ended = False

    @classmethod
    async def connect(cls, url: str, on_end: Callable[[], None]) -> Self:
        """Open a WebSocket. Raises OSError (TimeoutError too), `Ended` and InvalidHandshake."""
        uri = parse_uri(access.shown(url))
        tls = access.tls() if uri.secure else None
        async with asyncio.timeout(PATIENCE):
            _, wire = await asyncio.get_running_loop().create_connection(
                lambda: cls(url, on_end), uri.host, uri.port, ssl=tls
            )
            try:
                await wire.ready
            except BaseException:
                wire.abort()
                raise
        return wire

    async def ask(self, text: bytes, accepts: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Send a message and return the data of its answer: an error, or a rank for which `accepts` is true.

        One request at a time. Raises `Ended` and TimeoutError.
        """
        if self.ended or self._transport is None:
            raise Ended(self.code)
        self._answer = asyncio.get_running_loop().create_future()
        self._accepts = accepts
        self._transport.write(Frame(Opcode.TEXT, text).serialize(mask=True))
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._answer
        finally:
            self._answer = None

    def close(self) -> None:
        """Send a close frame and close, without waiting for the server."""
        if self._transport is not None and not self.ended:
            self._transport.write(Frame(Opcode.CLOSE, Close(1000, "").serialize()).serialize(mask=True))
            self._transport.close()

    def abort(self) -> None:
        """Cut the connection without a close frame."""
        if self._transport is not None:
            self._transport.abort()

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports match the type by duck typing only.
        self._transport = cast("asyncio.Transport", transport)
        self._handshake.send_request(self._request)
        self._transport.write(b"".join(self._handshake.data_to_send()))

    def data_received(self, data: bytes) -> None:
        if not self._open:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            # Only the head: the frames after it are for the reader.
            self._handshake.receive_data(bytes(self._head[: end + 4]))
            refused = self._handshake.handshake_exc or self._refused_with_a_body()
            if refused is not None:
                self._fail(refused)
                self.abort()
                return
            self._open = True
            data = bytes(self._head[end + 4 :])
            if not self.ready.done():
                self.ready.set_result(None)
        try:
            self._reader.feed(bytearray(data), len(data))
        except BrokenStream as broken:
            self.code = broken.code
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self._fail(Ended(self.code))
        self._on_end()

    def _refused_with_a_body(self) -> Exception | None:
        if self._head.startswith(b"HTTP/1.1 101"):
            return None
        status = bytes(self._head[: self._head.find(b"\r\n")]).decode("latin-1")
        return InvalidHandshake(f"expected HTTP/1.1 101, got {status}")

    def _fail(self, error: Exception) -> None:
        for future in (self.ready, self._answer):
            if future is not None and not future.done():
                future.set_exception(error)
                future.exception()  # mark it as retrieved: if nobody waits, there is nothing to report

    def _text(self, data: bytearray, start: int, stop: int) -> None:
        answer = self._answer
        if answer is None or answer.done() or data[start + _TYPE_AT] not in _ANSWERS:
            return
        frame = json.loads(data[start:stop])
        kind, fields = frame["type"], frame["data"]
        if kind == "error" or (kind == "user-rank-update" and self._accepts is not None and self._accepts(fields)):
            answer.set_result(fields)

    def _control(self, opcode: int, payload: bytes) -> None:
        assert self._transport is not None
        if opcode == PING:
            self._transport.write(Frame(Opcode.PONG, payload).serialize(mask=True))
        elif opcode == CLOSE:
            self.code = int.from_bytes(payload[:2]) if len(payload) >= 2 else None
            self._transport.write(Frame(Opcode.CLOSE, payload[:2]).serialize(mask=True))
            self._transport.close()
