"""The uvicorn protocol class for HTTP, with bounds: what a connection may do before it is a WebSocket.

uvicorn's class reads heads of any size for any time and any number of requests at once. The subclass reads in slices,
each in its turn (`doorway`), one request at a time, counts them (`request_bounds`), and refuses at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.server.doorway import doorway_of
from service.server.request_bounds import (
    BAD_SYNTAX,
    SLICE,
    Refusal,
    RequestBounds,
    RequestMeter,
    body_size,
    check_upgrade,
)
from service.server.uvicorn_protocol import FanoutProtocol

LAST_WORD_SECONDS = 2.0  # time for a refusal to be read before the connection is cut
MOST_DISCARDED = 1024 * 1024  # bytes that a client may go on sending after it was refused
MOST_SLICES = 256  # that wait while a request is answered

log = logging.getLogger("leaderboard.http")

RELIED_ON = (
    "_should_upgrade", "_start_asgi_task", "_unset_keepalive_if_required", "connection_lost", "connection_made",
    "data_received", "on_header", "on_headers_complete", "on_message_begin", "on_message_complete",
    "on_response_complete", "on_url", "pause_writing", "resume_writing", "timeout_keep_alive_handler",
)  # fmt: skip


class BoundedHttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol over httptools, within `RequestBounds`."""

    def __init__(self, *rest: Any, bounds: RequestBounds, **named: Any) -> None:
        super().__init__(*rest, **named)
        self._bounds = bounds
        self._meter = RequestMeter(bounds)
        self._doorway = doorway_of(self.loop)
        self._running: RequestResponseCycle | None = None  # the request that is answered, or was the last
        self._slices: deque[bytes] = deque()
        self._waits_for_turn = False
        self.ended = False  # or a WebSocket
        self._reading = False  # between the first and the last byte of a request
        self._discarded: int | None = None  # bytes since the request was refused
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    # How a connection comes and goes

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._doorway.enter(self)
        self._hurry(self._bounds.head_seconds)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        self._left()
        super().connection_lost(exc)
        # uvicorn tells the last request that came, and the one before it, if that is still answered, would write on.
        if self._running is not None:
            self._running.disconnected = True
            self._running.message_event.set()

    def may_go(self) -> bool:
        """Whether it waits for a request, or its client does not read."""
        return self._unread is not None or not (self._answers() or self._waits_for_turn)

    def let_go(self) -> None:
        """End it at once."""
        self.transport.abort()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._abort_if_unread()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.ended:
            return  # a WebSocket's transport, which TLS pauses once while it changes hands
        self._unread = self.loop.call_later(self._bounds.unread_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    # What comes in

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._discarded is not None:
            self._discard(len(data))
            return
        self._slices.extend(data[start : start + SLICE] for start in range(0, len(data), SLICE))
        if len(self._slices) > MOST_SLICES:
            self.transport.abort()
            return
        self._go_on_later()

    def _go_on_later(self) -> None:
        """Read on in its turn, if there is something and the last request is answered."""
        if not self._slices or self._waits_for_turn:
            return
        if self._reading or not self._answers():
            self._waits_for_turn = True
            self._doorway.turn(self._go_on)
        if self._slices:
            self.flow.pause_reading()

    def _go_on(self) -> None:
        self._waits_for_turn = False
        if self.transport.is_closing() or self._discarded is not None or not self._slices:
            return
        self._parse(self._slices.popleft())
        if self._slices:
            self._go_on_later()
        elif not self.transport.is_closing() and not self.pipeline:
            self.flow.resume_reading()

    def _parse(self, part: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._deadline is None:
            self._hurry(self._bounds.head_seconds)
        self._meter.fed(len(part))
        try:
            self.parser.feed_data(part)
            self._meter.check()
        except Refusal as refusal:
            self._refuse(refusal)
        except httptools.HttpParserUpgrade as stop:
            self._change_protocol(part[stop.args[0] :])
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, Refusal) else Refusal(400, BAD_SYNTAX))

    def on_message_begin(self) -> None:
        self._reading = True
        self._meter.begin()
        if self._deadline is None:
            self._hurry(self._bounds.head_seconds)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._meter.url(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._meter.header(name, value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade() and self._should_upgrade():
            check_upgrade(self.headers)
            if self._answers():
                raise Refusal(400, "expected an upgrade after the answer to the last request, got it before")
        self._meter.declared(body_size(self.headers))
        super().on_headers_complete()
        self._meter.head_complete()
        self._hurry(self._bounds.body_seconds)
        self._doorway.went_on(self)

    def on_message_complete(self) -> None:
        self._reading = False
        self._meter.end()
        self._relax()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._doorway.went_on(self)
        if self.transport.is_closing():
            self._abort_if_unread()
        elif self._slices:
            self._go_on_later()

    def _answers(self) -> bool:
        """Whether a request is not answered yet."""
        cycle: RequestResponseCycle | None = self.cycle
        return bool(self.pipeline) or (cycle is not None and not cycle.response_complete)

    # A WebSocket

    def _change_protocol(self, rest: bytes) -> None:
        if not self._should_upgrade():
            # A request as any other: this server speaks nothing else. What follows is the next one.
            if rest:
                self._slices.appendleft(rest)
            return
        self._left()
        self.connections.discard(self)
        protocol = cast("Any", self.ws_protocol_class)(
            config=self.config, server_state=self.server_state, app_state=self.app_state
        )
        protocol.connection_made(self.transport)
        self.flow.resume_reading()
        self._begin_websocket(protocol, b"".join((rest, *self._slices)))
        self.transport.set_protocol(protocol)
        self._slices.clear()
        self.parser = cast("Any", None)  # it refers to this object, which no `connection_lost` frees any more

    def _begin_websocket(self, protocol: Any, rest: bytes) -> None:
        method = self.scope["method"].encode()
        if isinstance(protocol, FanoutProtocol):
            begun = protocol.begin(method, self.url, self.headers, rest)
        else:
            lines = [method + b" " + self.url + b" HTTP/1.1", *(name + b": " + value for name, value in self.headers)]
            protocol.data_received(b"\r\n".join([*lines, b"", b""]))
            begun = protocol.handshake_initiated
        if not begun:
            self._write_refusal(Refusal(400, "expected a WebSocket handshake (RFC 6455), got something else"))
            self.transport.close()

    # What is refused

    def _refuse(self, refusal: Refusal) -> None:
        self._relax()
        self._slices.clear()
        self._discarded = 0
        if self._answers():
            self.cycle.keep_alive = False  # the last words of this connection
        else:
            if self._meter.in_head:  # else the request was answered before all of its body came
                self._write_refusal(refusal)
            self._close_after_last_word()

    def _write_refusal(self, refusal: Refusal) -> None:
        self._doorway.refused[refusal.status] += 1
        phrase = HTTPStatus(refusal.status).phrase
        body = f"{refusal.detail}\n".encode()
        self.transport.write(
            f"HTTP/1.1 {refusal.status} {phrase}\r\ncontent-type: text/plain; charset=utf-8\r\n"
            f"content-length: {len(body)}\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\n"
            "connection: close\r\n\r\n".encode()
            + body
        )
        log.info(
            "refused a request of %s with %d: %s",
            self._address(),
            refusal.status,
            refusal.detail,
            extra={"event": "refused-request", "address": self._address(), "code": refusal.status},
        )

    def _close_after_last_word(self) -> None:
        # Closing with unread bytes in the kernel resets the connection, and the reset overtakes the answer.
        if not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        self.flow.resume_reading()
        self._deadline = self.loop.call_later(LAST_WORD_SECONDS, self.transport.abort)

    def _discard(self, size: int) -> None:
        assert self._discarded is not None
        self._discarded += size
        if self._discarded > MOST_DISCARDED:
            self.transport.abort()

    def _address(self) -> str:
        return self.client[0] if self.client else "-"

    # Time

    def _hurry(self, seconds: float) -> None:
        self._relax()
        self._deadline = self.loop.call_later(seconds, self._is_late)

    def _relax(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _is_late(self) -> None:
        self._deadline = None
        if self._meter.started and not self._answers():
            self._refuse(Refusal(408, f"expected a whole request within {self._bounds.head_seconds:g} s, got a part"))
            return
        self.transport.close()
        self._abort_if_unread()

    def _abort_if_unread(self) -> None:
        """Wait only so long for a client that does not take what is left of its answer."""
        if self.transport.get_write_buffer_size():
            self.loop.call_later(self._bounds.unread_seconds, self.transport.abort)

    def _left(self) -> None:
        self.ended = True
        self._doorway.leave(self)
        self._relax()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


def http_protocol(bounds: RequestBounds) -> Any:
    """What to pass to uvicorn as its class for HTTP; "auto", and one log line, if its own class changed."""
    missing = [name for name in RELIED_ON if not callable(getattr(HttpToolsProtocol, name, None))]
    if missing:
        log.warning(
            "uvicorn's HTTP protocol has no %s: running without bounds on requests",
            ", ".join(missing),
            extra={"event": "uvicorn-changed"},
        )
        return "auto"
    return partial(BoundedHttpProtocol, bounds=bounds)
