"""Sending to one socket without waiting.

An `OutgoingBatch` is encoded once for all sockets. An `Outlet` takes batches without ever waiting:
sending is a plain call, and a callback reports whether the socket keeps up. So the loop that sends
a board to everyone awaits nothing, and a slow or dead socket delays nobody else.

Two kinds: `uvicorn_protocol.WireOutlet` gives prebuilt frames to the kernel; `AsgiOutlet`, here,
sends the same texts through `websocket.send` on any ASGI server.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from service.core.errors import CloseCode

EXTENSION: Final = "leaderboard.outlet"  # key in an ASGI scope's extensions
HIGH_WATER: Final = 8 * 1024  # bytes that may wait in an `AsgiOutlet`, about two boards

log = logging.getLogger("leaderboard.outlet")


def text_frame(payload: bytes) -> bytes:
    """The payload as one unmasked WebSocket text frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return b"\x81" + size.to_bytes(1) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2) + payload
    return b"\x81\x7f" + size.to_bytes(8) + payload


class OutgoingBatch:
    """Messages that are sent together: as texts, and as one sequence of prebuilt frames."""

    __slots__ = ("texts", "wire")

    def __init__(self, *texts: bytes) -> None:
        self.texts = texts
        self.wire = b"".join(map(text_frame, texts))

    def __add__(self, other: OutgoingBatch) -> OutgoingBatch:
        both = OutgoingBatch()
        both.texts, both.wire = self.texts + other.texts, self.wire + other.wire
        return both


def takes_nothing(_wire: bytes) -> int:
    """The `push` of an outlet that has no direct way to the kernel."""
    return 0


def _nobody(_writable: bool) -> None:
    """The callback of an outlet that belongs to no hub."""


class Outlet(ABC):
    """The sending side of one socket.

    `on_writable` is called with False when the socket stops keeping up and with True when it
    has caught up; after the last call with False and `closed`, nothing more is sent.

    `push` gives bytes directly to the kernel and returns how many it took, which is fewer than all if
    the socket is full. It is only for `broadcast` and writable outlets; if not all bytes were taken,
    `finish` must be called.
    """

    __slots__ = ("closed", "ended_with", "on_writable", "push", "writable")

    def __init__(self, push: Callable[[bytes], int] = takes_nothing) -> None:
        self.push = push
        self.writable = True
        self.closed = False
        self.ended_with: int | None = None  # the close code, if this side ended the socket
        self.on_writable: Callable[[bool], None] = _nobody

    @abstractmethod
    def send(self, batch: OutgoingBatch, more: OutgoingBatch | None = None) -> None:
        """Send the messages, both batches in one write if possible. Never waits, never raises."""

    @abstractmethod
    def finish(self, batch: OutgoingBatch, taken: int) -> None:
        """Send the rest of a batch of which `push` took `taken` bytes."""

    @abstractmethod
    async def close(self, code: CloseCode) -> None:
        """Close the socket after what was sent; do not wait for a peer that does not read, if avoidable."""

    def end(self) -> None:
        """Send nothing more: the socket is closing or closed."""
        if not self.closed:
            self.closed = True
            self._set_writable(False)

    def unsubscribe(self) -> None:
        """Make no more callbacks."""
        self.on_writable = _nobody

    def _set_writable(self, writable: bool) -> None:
        if self.writable != writable:
            self.writable = writable
            self.on_writable(writable)


def broadcast(outlets: Iterable[Outlet], batch: OutgoingBatch) -> None:
    """Send the batch to every outlet; all of them must be writable.

    The hottest loop of the service. Nearly all of its time is spent in the kernel: a socket that keeps
    up costs one other call, so nothing may be added here that a callback could report.
    """
    wire, size = batch.wire, len(batch.wire)
    for outlet in outlets:
        try:
            taken = outlet.push(wire)
        except OSError:  # full, or closed, which its transport will notice
            taken = 0
        if taken != size:
            outlet.finish(batch, taken)


class AsgiOutlet(Outlet):
    """Sends through `websocket.send`, for servers without the extension.

    One task sends the queued texts. Above `HIGH_WATER` queued bytes the socket counts as not keeping
    up, so a hub holds back its boards, and the queue stays bounded.
    """

    __slots__ = ("_bytes", "_closing", "_more", "_socket", "_task", "_waiting")

    def __init__(self, socket: WebSocket) -> None:
        super().__init__()
        self._socket = socket
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._closing: CloseCode | None = None
        self._more = asyncio.Event()
        self._task = asyncio.create_task(self._pump(), name="outlet")
        self._task.add_done_callback(self._pump_ended)

    def send(self, batch: OutgoingBatch, more: OutgoingBatch | None = None) -> None:
        if self.closed or self._closing is not None:
            return
        if more is not None:
            batch = batch + more
        self._waiting += batch.texts
        self._bytes += len(batch.wire)
        self._more.set()
        if self._bytes > HIGH_WATER:
            self._set_writable(False)

    def finish(self, batch: OutgoingBatch, taken: int) -> None:
        self.send(batch)

    async def close(self, code: CloseCode) -> None:
        self._closing = code
        self.ended_with = code
        self._more.set()
        await asyncio.wait({self._task})

    def end(self) -> None:
        super().end()
        self._task.cancel()

    async def _pump(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                waiting, self._waiting, self._bytes = self._waiting, [], 0
                for text in waiting:
                    await self._socket.send_text(text.decode())
            if self._closing is not None:
                await self._socket.close(self._closing)
                return
            self._set_writable(True)

    def _pump_ended(self, task: asyncio.Task[None]) -> None:
        super().end()
        error = None if task.cancelled() else task.exception()
        # A peer that disconnected ends the reading side too, which cleans up. A server that closed the socket itself,
        # as for text that is no UTF-8, raises RuntimeError, as starlette does.
        if error is not None and not isinstance(error, WebSocketDisconnect | RuntimeError | OSError):
            log.error("sending to a socket failed", exc_info=error, extra={"event": "sending-failed"})
