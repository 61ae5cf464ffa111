"""The uvicorn protocol class for fan-out: prebuilt frames directly to the kernel.

The rule of this file: only uvicorn's class reads, performs the handshake and closes. The subclass
adds a second way to send and learns from uvicorn's own callbacks when it is blocked or gone. The
transport's high-water mark is 0, so while an outlet is writable nothing waits in the process, and
bytes that bypass the transport cannot overtake others. If uvicorn's class no longer has the methods
used here, `protocol_class` logs it and the service runs without the extension, sending the same
bytes at the usual cost.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Generator, Sequence
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from service.core.errors import CloseCode
from service.core.rate_limit import TokenBucket
from service.metrics import STATE_KEY, Metrics
from service.server.outbound import EXTENSION, OutgoingBatch, Outlet, broadcast, takes_nothing

STALL_SECONDS = 5.0  # a socket paused for longer is given up
LAST_WORD_SECONDS = 2.0  # time for a close frame to leave a socket that was given up
SHUTDOWN_SECONDS = 1.0  # the same for a socket that was full when the server stopped
SEND_BUFFER = 32 * 1024  # bytes in the kernel; the default is megabytes, minutes of boards
USER_TIMEOUT_MS = 20_000  # a peer that acknowledges nothing for this long is dead

LONGEST_LINE = 4096  # bytes of a header that the library for WebSockets is given
SLICE = 4096  # bytes of one packet that are read before the budget below is looked at
MOST_IGNORED = 1000  # messages that a client may send after it was closed
CONTROL_RATE, CONTROL_BURST = 20.0, 200  # pings, pongs and fragments a second of one connection, and at once

log = logging.getLogger("leaderboard.wire")

RELIED_ON = (
    "connection_lost", "data_received", "handle_close", "handle_connect", "handle_cont", "handle_parser_exception",
    "handle_ping", "handle_pong", "keepalive_timeout", "pause_writing", "receive", "resume_writing", "send",
    "send_receive_event_to_app", "shutdown",
)  # fmt: skip


class WireOutlet(Outlet):
    """Sends through the transport of one upgraded connection."""

    __slots__ = ("_loop", "_protocol", "_socket", "_stall", "_transport")

    def __init__(self, protocol: FanoutProtocol) -> None:
        # A second handle to the transport's descriptor; `release` detaches it before the transport closes it.
        self._socket = _plain_socket(protocol.transport)
        super().__init__(takes_nothing if self._socket is None else self._socket.send)
        self._protocol: FanoutProtocol | None = protocol
        self._loop = protocol.loop
        self._transport = protocol.transport
        self._stall: asyncio.TimerHandle | None = None

    def send(self, batch: OutgoingBatch, more: OutgoingBatch | None = None) -> None:
        if more is not None:
            batch = batch + more
        if self.writable:
            broadcast((self,), batch)
        else:
            self.finish(batch, 0)

    def finish(self, batch: OutgoingBatch, taken: int) -> None:
        if not self.closed:
            self._transport.write(batch.wire[taken:])

    def end(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        super().end()

    def paused(self) -> None:
        """The transport's buffer is full."""
        if not self.closed:
            self._stall = self._loop.call_later(STALL_SECONDS, self._give_up)
            self._set_writable(False)

    def resumed(self) -> None:
        """The transport's buffer has drained."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        if not self.closed:
            self._set_writable(True)

    def release(self) -> None:
        """Drop all references to a lost connection, so that no cycle leaves it to the garbage collector."""
        self._protocol = None
        self.push = takes_nothing
        if self._socket is not None:
            self._socket.detach()

    async def close(self, code: CloseCode) -> None:
        if self._protocol is None:
            return
        if not self.writable:
            # Behind a full buffer, the close frame would wait forever.
            self._protocol.give_up(code)
            return
        await self._protocol.send({"type": "websocket.close", "code": int(code)})

    def _give_up(self) -> None:
        if self._protocol is not None:
            self._protocol.give_up(CloseCode.TOO_SLOW)


class FanoutProtocol(WebSocketsSansIOProtocol):
    """uvicorn's sans-I/O WebSocket protocol with an outlet in `scope["extensions"]`."""

    outlet: WireOutlet | None = None
    _url: bytes | None = None
    _long_headers: Sequence[tuple[bytes, bytes]] = ()
    _early: bytes = b""  # what came behind the head, before it was answered
    _unread: bytes = b""  # of a packet larger than a slice
    _ignored = 0  # messages since this side closed
    _control: TokenBucket | None = None  # made at the first frame that needs it
    _flooded = False

    def data_received(self, data: bytes) -> None:
        # The parser takes all that it is given at once, and answers each ping in it.
        if len(data) <= SLICE and not self._unread:
            super().data_received(data)
            return
        waits = bool(self._unread)
        self._unread += data
        if not waits:
            self._read_slice()

    def _read_slice(self) -> None:
        """Read a part of a large packet, once the messages of the part before are dealt with."""
        if self._flooded or self.transport.is_closing():
            self._unread = b""
            return
        if self.queue.empty() or self.close_sent:
            part, self._unread = self._unread[:SLICE], self._unread[SLICE:]
            super().data_received(part)
        if self._unread:
            self.transport.pause_reading()
            self.read_paused = False  # else uvicorn's class would resume
            self.loop.call_soon(self._read_slice)
        elif (self.close_sent or not self.read_paused) and not self.transport.is_closing():
            self.transport.resume_reading()

    def handle_cont(self, event: Any) -> None:
        if self._has_budget():
            super().handle_cont(event)

    def handle_ping(self) -> None:
        if self._has_budget():
            super().handle_ping()

    def handle_pong(self, event: Any) -> None:
        if self._has_budget():
            super().handle_pong(event)

    def begin(self, method: bytes, url: bytes, headers: Sequence[tuple[bytes, bytes]], early: bytes) -> bool:
        """Take the head of the handshake, and what came behind it; return whether it is a handshake at all."""
        if not url.isascii():
            return False
        # The library refuses lines of 8 KB, which it would do without an answer. None that it reads is as long.
        short = [one for one in headers if len(one[1]) <= LONGEST_LINE]
        self._url, self._early = url, early
        self._long_headers = [one for one in headers if len(one[1]) > LONGEST_LINE]
        lines = [method + b" / HTTP/1.1", *(name + b": " + value for name, value in short), b"", b""]
        super().data_received(b"\r\n".join(lines))
        return self.handshake_initiated

    def handle_connect(self, event: Request) -> None:
        if self._url is not None:
            event.path = self._url.decode("ascii")
            for name, value in self._long_headers:
                event.headers[name.decode("ascii")] = value.decode("latin-1")
            self._url, self._long_headers = None, ()
        if self.scheme == "ws":
            # An answer to a frame that came too early would be sent before the answer to the handshake. Under TLS,
            # resuming writes what waits, which would look like a reader that was behind.
            self.read_paused = True
            self.transport.pause_reading()
        super().handle_connect(event)
        if self.response.status_code != 101:
            self._count_refusal()
            return
        self.outlet = WireOutlet(self)
        cast("dict[str, Any]", self.scope["extensions"])[EXTENSION] = self.outlet
        self.transport.set_write_buffer_limits(high=0)
        _bound_kernel_buffer(self.transport)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.outlet is not None:
            self.outlet.paused()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.outlet is not None:
            self.outlet.resumed()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_outlet()
        if self.handshake_complete and not self.close_sent and self.conn.close_rcvd is None:
            # uvicorn says 1005, which is a close frame without a code (RFC 6455, section 7.4.1).
            self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
        super().connection_lost(exc)
        # A parser that has not seen the end of its stream references the connection, which references the parser.
        self.conn.parser.close()
        if self.outlet is not None:
            self.outlet.release()

    def handle_close(self, event: Any) -> None:
        self._end_outlet()
        super().handle_close(event)

    def keepalive_timeout(self) -> None:
        self._end_outlet(1011)
        super().keepalive_timeout()
        self._abort_later()

    def shutdown(self) -> None:
        stuck = self.outlet is not None and not self.outlet.writable and not self.outlet.closed
        self._end_outlet(CloseCode.RESTARTING)
        super().shutdown()
        if stuck:
            # If it does not drain soon, its close frame would delay the shutdown of the server.
            self.loop.call_later(SHUTDOWN_SECONDS, self.transport.abort)

    async def receive(self) -> Any:
        if not self.queue.empty():
            await asyncio.sleep(0)  # a packet may hold fifty joins: other connections have their turn between two
        return await super().receive()

    async def send(self, message: Any) -> None:
        kind = message["type"]
        if kind == "websocket.close":
            self._end_outlet(message.get("code", CloseCode.NORMAL))
        await super().send(message)
        if kind == "websocket.accept" and self._early:
            early, self._early = self._early, b""
            self.data_received(early)
        elif kind == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # refused by the app, which uvicorn takes for a forgotten answer

    def send_receive_event_to_app(self) -> None:
        if self.close_sent:
            self._ignored += 1
            if self._ignored > MOST_IGNORED:
                self.transport.abort()  # it does not listen, and reading costs as before
        try:
            super().send_receive_event_to_app()
        except InvalidState:
            # No UTF-8, and the client's close frame came in the same packet: its answer waits, and says the wrong code.
            self.conn.data_to_send()
            self._end_outlet(CloseCode.NOT_UTF8)
            self.queue.put_nowait({"type": "websocket.disconnect", "code": CloseCode.NOT_UTF8, "reason": ""})
            self.transport.write(Frame(Opcode.CLOSE, Close(CloseCode.NOT_UTF8, "").serialize()).serialize(mask=False))
            self.close_sent = True
            self.transport.close()

    def handle_parser_exception(self) -> None:
        if self.close_sent:
            return  # the rest of a stream that was already refused
        assert self.conn.close_sent is not None
        code, reason = self.conn.close_sent.code, self.conn.close_sent.reason
        self._end_outlet(code)
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if not self.transport.can_write_eof():
            self.transport.close()
            return
        # Closing with unread bytes in the kernel resets the connection, and the reset overtakes the
        # close frame: the client would never learn the code. So shut down our side and keep reading.
        self.transport.write_eof()
        self.transport.resume_reading()
        self.close_timer = self.loop.call_later(LAST_WORD_SECONDS, self.transport.abort)

    def _has_budget(self) -> bool:
        """Whether a frame that is no message may be handled; over its budget the connection ends."""
        now = self.loop.time()
        if self._control is None:
            self._control = TokenBucket(CONTROL_RATE, CONTROL_BURST, now)
        over = self._control.take(now) > 0
        if over and not self._flooded:
            self._flooded = True
            if self.close_sent:
                self.transport.abort()
            else:
                self.conn.send_close(CloseCode.TOO_FAST, "too many control frames or fragments")
                self.handle_parser_exception()
        return not (over or self.close_sent)

    def give_up(self, code: CloseCode) -> None:
        """Close a connection whose peer does not read, without waiting for it."""
        self._end_outlet(code)
        self.stop_keepalive()
        if not self.close_sent and not self.transport.is_closing():
            self.conn.send_close(code)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.transport.close()
        self._abort_later()

    def _end_outlet(self, code: int | None = None) -> None:
        """Send nothing more; with `code` it is this side that ends the connection, unless the other one did before."""
        if self.outlet is None:
            return
        if code is not None and not self.outlet.closed:
            self.outlet.ended_with = code
        self.outlet.end()

    def _count_refusal(self) -> None:
        metrics = self.app_state.get(STATE_KEY)
        if isinstance(metrics, Metrics):
            metrics.refused("malformed")

    def _abort_later(self) -> None:
        self.loop.call_later(LAST_WORD_SECONDS, self.transport.abort)


def protocol_class() -> type[FanoutProtocol] | None:
    """The class to pass to uvicorn; None, and one log line, if uvicorn's own class lacks what it needs."""
    missing = [name for name in RELIED_ON if not callable(getattr(WebSocketsSansIOProtocol, name, None))]
    if not isinstance(getattr(ServerProtocol(), "parser", None), Generator):
        missing.append("conn.parser")
    if missing:
        log.warning(
            "uvicorn's protocol has no %s: running without the fan-out extension",
            ", ".join(missing),
            extra={"event": "uvicorn-changed"},
        )
        return None
    return FanoutProtocol


def _plain_socket(transport: asyncio.Transport) -> socket.socket | None:
    """The transport's socket to write to; None if bytes have to go through TLS first."""
    inner = transport.get_extra_info("socket")
    if inner is None or transport.get_extra_info("ssl_object") is not None:
        return None
    return socket.socket(inner.family, inner.type, inner.proto, fileno=inner.fileno())


def _bound_kernel_buffer(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    if connection is None or connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    user_timeout = getattr(socket, "TCP_USER_TIMEOUT", None)
    if user_timeout is not None:
        connection.setsockopt(socket.IPPROTO_TCP, user_timeout, USER_TIMEOUT_MS)
