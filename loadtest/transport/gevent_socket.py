"""A WebSocket client on the gevent loop that receives many small messages on many sockets.

Handshake, masking and close frames come from the sans-I/O parts of `websockets`. Receiving is our
own: one io watcher per socket, one buffer for all sockets, one system call per wake-up, no greenlet
switch and no timer. Whatever costs memory belongs to the process, not to the socket.

The kernel stamps what arrives (SO_TIMESTAMPNS, Linux), so the time at which a message *arrived* is
known separately from the time at which this process read it. Where there are no stamps, `stamped`
stays False and both are the time of reading. A stamp belongs to a read: messages that are read
together all get the last one's stamp, which is never too early.

Nothing here blocks except `connect`.
"""

from __future__ import annotations

import contextlib
import errno
import socket as sockets
import ssl
import struct
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import gevent
import gevent.socket
from gevent import monkey
from websockets.exceptions import InvalidHandshake
from websockets.frames import Close, Frame, Opcode
from websockets.uri import parse_uri

from loadtest import access
from loadtest.transport.frames import CLOSE, PING, BrokenStream, FrameReader, OnText

_SO_TIMESTAMPNS: Final = getattr(sockets, "SO_TIMESTAMPNS", 35 if sys.platform == "linux" else None)
_STAMP = struct.Struct("@qq")  # a 64-bit kernel's timespec
_ANCILLARY: Final = sockets.CMSG_SPACE(_STAMP.size) if hasattr(sockets, "CMSG_SPACE") else 0
_BUFFER = bytearray(256 * 1024)
_VIEW = memoryview(_BUFFER)
_INTO = (_BUFFER,)
_READ, _WRITE = 1, 2
_NO_STATUS, _ABNORMAL = 1005, 1006  # RFC 6455: no code in the close frame, no close frame at all

OnClose = Callable[[int], None]
_RawSocket: Any = monkey.get_original("socket", "socket")


class ConnectFailed(Exception):
    """The WebSocket could not be opened; the text says why, `status` is the HTTP status if there was one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Socket:
    """One open WebSocket.

    `on_text(buffer, start, stop)` gets each text message; `on_close(code)` is called once, at the end. Both run in
    the event loop and must not block. For the current message, `read_at` is when this process read it and
    `arrived_at` when the kernel received it (Unix seconds).
    """

    __slots__ = (
        "_close_code", "_fd", "_feed", "_leftover", "_on_close", "_out", "_tls", "_watcher", "_writable",
        "arrived_at", "bytes_received", "read_at", "stamped",
    )  # fmt: skip

    def __init__(
        self, fd: Any, tls: _Tls | None, on_text: OnText, on_close: OnClose, *, stamps: bool, leftover: bytes
    ) -> None:
        self._fd = fd
        self._tls = tls
        self._feed = FrameReader(on_text, self._control).feed
        self._on_close: OnClose | None = on_close
        self._close_code: int | None = None
        self._out = bytearray()
        self._leftover = leftover  # bytes read together with the handshake
        self.bytes_received = 0
        self.read_at = self.arrived_at = 0.0
        self.stamped = stamps and _ask_for_stamps(fd)
        loop = gevent.get_hub().loop
        self._watcher = loop.io(fd.fileno(), _READ)
        self._writable = loop.io(fd.fileno(), _WRITE)

    @property
    def open(self) -> bool:
        """Whether messages can be sent."""
        return self._on_close is not None and self._close_code is None

    def start(self) -> None:
        """Begin to receive."""
        leftover, self._leftover = self._leftover, b""
        if leftover:
            self.read_at = self.arrived_at = time.time()
            self._take(bytearray(leftover), len(leftover))
        if self._on_close is not None:
            self._watcher.start(self._receive)

    def send(self, text: bytes) -> None:
        """Send one text message; it is queued if the kernel takes no more. After the end, do nothing."""
        if self.open:
            self._frame(Opcode.TEXT, text)

    def close(self, code: int = 1000) -> None:
        """Send a close frame; `on_close` follows when the server answers or the connection ends."""
        if self.open:
            self._frame(Opcode.CLOSE, Close(code, "").serialize())
            self._close_code = code

    def abort(self) -> None:
        """End the connection at once, without a close frame and without calling `on_close`."""
        if self._on_close is not None:
            self._on_close = None
            self._end(_ABNORMAL)

    def stop_reading(self) -> None:
        """Stop reading and shrink the kernel's receive buffer: from outside, this is a stuck client."""
        if self._on_close is not None:
            self._watcher.stop()
            self._fd.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 1)

    # In

    def _receive(self) -> None:
        """The hot path: read everything the socket holds, in one call."""
        try:
            if self.stamped:
                size, ancillary, _, _ = self._fd.recvmsg_into(_INTO, _ANCILLARY)
                self.read_at = time.time()
                if ancillary:
                    seconds, nanoseconds = _STAMP.unpack(ancillary[0][2])
                    self.arrived_at = seconds + nanoseconds * 1e-9
                else:
                    self.arrived_at = self.read_at
            else:
                size = self._fd.recv_into(_BUFFER)
                self.read_at = self.arrived_at = time.time()
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._end(_ABNORMAL)
            return
        if not size:
            self._end(_ABNORMAL)
            return
        self.bytes_received += size
        if self._tls is not None:
            self._take_encrypted(size)
            return
        try:
            self._feed(_BUFFER, size)
        except BrokenStream as broken:
            self._break(broken.code)

    def _take_encrypted(self, size: int) -> None:
        assert self._tls is not None
        try:
            plain = self._tls.decrypt(_VIEW[:size])
        except ssl.SSLError:
            self._end(_ABNORMAL)
            return
        self._write(self._tls.pending())
        if plain:
            self._take(plain, len(plain))

    def _take(self, data: bytearray, size: int) -> None:
        try:
            self._feed(data, size)
        except BrokenStream as broken:
            self._break(broken.code)

    def _break(self, code: int) -> None:
        self.close(code)
        self._end(code)

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            if self.open:
                self._frame(Opcode.PONG, payload)
        elif opcode == CLOSE:
            code = int.from_bytes(payload[:2]) if len(payload) >= 2 else _NO_STATUS
            if self.open:
                self._frame(Opcode.CLOSE, payload[:2])
                self._close_code = code
            self._end(code)

    # Out

    def _frame(self, opcode: Opcode, payload: bytes) -> None:
        data = Frame(opcode, payload).serialize(mask=True)
        self._write(data if self._tls is None else self._tls.encrypt(data))

    def _write(self, data: bytes) -> None:
        if not data:
            return
        if self._out:
            self._out += data
            return
        try:
            sent = self._fd.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            return  # the reader sees the end as well, and reports it
        if sent < len(data):
            self._out += data[sent:]
            self._writable.start(self._flush)

    def _flush(self) -> None:
        try:
            del self._out[: self._fd.send(self._out)]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._out.clear()
        if not self._out:
            self._writable.stop()

    def _end(self, code: int) -> None:
        for watcher in (self._watcher, self._writable):
            watcher.stop()
            watcher.close()
        self._fd.close()
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close(code)


class _Tls:
    """TLS in memory, so that the plain socket below is still the one that is watched, read and stamped."""

    def __init__(self, host: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = access.tls().wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def shake_hands(self, fd: Any) -> None:
        """Block until the handshake is done. Raises OSError (ssl.SSLError is one)."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                fd.sendall(self._outgoing.read())
                data = fd.recv(65536)
                if not data:
                    raise ConnectionResetError(errno.ECONNRESET, "the server broke off the TLS handshake") from None
                self._incoming.write(data)
            else:
                fd.sendall(self._outgoing.read())
                return

    def encrypt(self, data: bytes) -> bytes:
        self._tls.write(data)
        return self._outgoing.read()

    def decrypt(self, data: memoryview) -> bytearray:
        self._incoming.write(data)
        plain = bytearray()
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            while piece := self._tls.read(65536):
                plain += piece
        return plain

    def pending(self) -> bytes:
        """What TLS itself has to send."""
        return self._outgoing.read()


def connect(url: str, on_text: OnText, on_close: OnClose, *, timeout: float = 30.0, stamps: bool = True) -> Socket:
    """Open a WebSocket (`ws:` or `wss:`). Blocks this greenlet. Raises `ConnectFailed`.

    Call `start` on the socket when its owner is ready to receive.
    """
    uri = parse_uri(access.shown(url))
    fd = None
    try:
        with gevent.Timeout(timeout, TimeoutError(f"no answer within {timeout:g} s")):
            fd = gevent.socket.create_connection((uri.host, uri.port))
            fd.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
            tls = None
            if uri.secure:
                tls = _Tls(uri.host)
                tls.shake_hands(fd)
            leftover = _shake_hands(url, fd, tls)
    except (OSError, InvalidHandshake) as error:
        if fd is not None:
            fd.close()
        status = getattr(getattr(error, "response", None), "status_code", None)
        raise ConnectFailed(f"{access.shown(url)}: {error}", status) from None
    except BaseException:
        if fd is not None:
            fd.close()
        raise
    # From gevent's socket, whose methods wait, to the plain one below it.
    raw = _RawSocket(fd.family, fd.type, fd.proto, fileno=fd.detach())
    raw.setblocking(False)
    return Socket(raw, tls, on_text, on_close, stamps=stamps, leftover=leftover)


def _shake_hands(url: str, fd: Any, tls: _Tls | None) -> bytes:
    """Upgrade the connection; return the bytes after the response. Raises InvalidHandshake or OSError."""
    protocol, request = access.opening(url)
    protocol.send_request(request)
    data = b"".join(protocol.data_to_send())
    fd.sendall(data if tls is None else tls.encrypt(data))
    answer = bytearray()
    while (end := answer.find(b"\r\n\r\n")) < 0:
        answer += _read(fd, tls)
    if answer.startswith(b"HTTP/1.1 101"):
        # Only the head goes to the protocol, so that it parses no frame: frames are for the reader above.
        protocol.receive_data(bytes(answer[: end + 4]))
    else:
        protocol.receive_data(bytes(answer))
        while protocol.handshake_exc is None:
            protocol.receive_data(_read(fd, tls))
    if protocol.handshake_exc is not None:
        raise protocol.handshake_exc
    return bytes(answer[end + 4 :])


def _read(fd: Any, tls: _Tls | None) -> bytes | bytearray:
    data = fd.recv(4096)
    if not data:
        raise ConnectionResetError(errno.ECONNRESET, "the server closed the connection during the handshake")
    return data if tls is None else tls.decrypt(memoryview(data))


def _ask_for_stamps(fd: Any) -> bool:
    if _SO_TIMESTAMPNS is None or struct.calcsize("P") != 8:
        return False
    try:
        fd.setsockopt(sockets.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True
