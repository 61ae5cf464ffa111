"""A WebSocket client on the gevent loop that receives many small messages on many sockets.

Handshake, masking and close frames come from the sans-I/O parts of `websockets`. Receiving is our
own: one io watcher per socket, one buffer for all sockets, one system call per wake-up, no greenlet
switch and no timer. Whatever costs memory belongs to the process, not to the socket.

The kernel stamps what arrives (SO_TIMESTAMPNS, Linux), so the time at which a message *arrived* is
known separately from the time at which this process read it. Where there are no stamps, `stamped`
stays False and both are the time of reading. A stamp belongs to a read: messages that are read
together all get the last one's stamp, which is never too early.

How early can a message have come? The last one of a read came when the stamp says. Those before it, and all without
stamps or over TLS, whose records hold several messages or parts of one, came after the read before, which left the
socket empty. Where the kernel's buffer may have been full, what came may have waited at the server: that is unknown.

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
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
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
_now, _stamp = time.time, _STAMP.unpack  # at hand for the hot path
_ANCILLARY: Final = sockets.CMSG_SPACE(_STAMP.size) if hasattr(sockets, "CMSG_SPACE") else 0
_SIZE: Final = 256 * 1024
_BUFFER = bytearray(_SIZE)
_VIEW = memoryview(_BUFFER)
_INTO = (_BUFFER,)
_READ, _WRITE = 1, 2
_NO_STATUS, _ABNORMAL = 1005, 1006  # RFC 6455: no code in the close frame, no close frame at all
_LATE: Final = 1.0  # seconds; what is read later than this after its arrival may have filled the kernel's buffer

OnClose = Callable[[int], None]
OnSent = Callable[[int], None]
_RawSocket: Any = monkey.get_original("socket", "socket")


class ConnectFailed(Exception):
    """The WebSocket could not be opened; the text says why, `status` is the HTTP status if there was one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Socket:
    """One open WebSocket.

    `on_text(buffer, start, stop)` gets each text message; `on_close(code)` is called once, at the end. Both run in
    the event loop and must not block; `on_sent(number)` is called when the kernel has taken the last byte of the
    message that was sent with this number.

    For the current message, `read_at` is when this process read it, `arrived_at` when the kernel had received it, and
    `earliest_at` before when it had not, 0 for unknown (Unix seconds).
    """

    __slots__ = (
        "_close_code", "_earliest_of_last", "_earliest_of_others", "_emptied_at", "_fd", "_feed", "_frames",
        "_half_full", "_leftover", "_on_close", "_outgoing", "_receive_into", "_tls", "_watcher", "arrived_at",
        "bytes_received", "read_at", "stamped", "upgrade_lower",
    )  # fmt: skip

    def __init__(
        self, fd: Any, tls: _Tls | None, on_text: OnText, on_close: OnClose, on_sent: OnSent, upgrade: _Upgrade
    ) -> None:
        self._fd = fd
        self._tls = tls
        self._frames = FrameReader(on_text, self._control)
        self._feed = self._frames.feed
        self._on_close: OnClose | None = on_close
        self._outgoing = _Outgoing(fd, on_sent)
        self._close_code: int | None = None
        self._leftover = upgrade.leftover
        self.bytes_received = 0
        self.read_at = self.arrived_at = self._earliest_of_others = self._earliest_of_last = self._emptied_at = 0.0
        self._receive_into = fd.recvmsg_into
        self._half_full = fd.getsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF) / 2
        self.stamped = upgrade.stamped
        self.upgrade_lower = upgrade.lower
        self._watcher = gevent.get_hub().loop.io(fd.fileno(), _READ)

    @property
    def open(self) -> bool:
        """Whether messages can be sent."""
        return self._on_close is not None and self._close_code is None

    @property
    def earliest_at(self) -> float:
        """See above: the last message of a read is known better than those before it."""
        return self._earliest_of_last if self._frames.last else self._earliest_of_others

    def start(self) -> None:
        """Begin to receive."""
        leftover, self._leftover = self._leftover, b""
        if leftover:
            self.read_at = self.arrived_at = time.time()
            self._take(bytearray(leftover), len(leftover))
        if self._on_close is not None:
            self._watcher.start(self._receive)

    def send(self, text: bytes, number: int = -1) -> None:
        """Send one text message; it is queued if the kernel takes no more. After the end, do nothing.

        With a `number`, `on_sent` is told when the kernel has taken it.
        """
        if self.open:
            self._frame(Opcode.TEXT, text, number)

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

    def forget_reading(self) -> None:
        """The clock was set: when the socket was read last is unknown."""
        self._emptied_at = 0.0

    def stop_reading(self) -> None:
        """Stop reading and shrink the kernel's receive buffer: from outside, this is a stuck client."""
        if self._on_close is not None:
            self._watcher.stop()
            self._fd.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 1)

    # In

    def _receive(self) -> None:
        """The hot path: read everything the socket holds, in one call."""
        before = _now()  # what is not in this read comes later
        ancillary: Any = ()
        try:
            if self.stamped:
                size, ancillary, _, _ = self._receive_into(_INTO, _ANCILLARY)
            else:
                size = self._fd.recv_into(_BUFFER)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            size = 0
        if not size:
            self._end(_ABNORMAL)
            return
        self.bytes_received += size
        earliest = earliest_of_last = self._emptied_at
        self._emptied_at = before if size < _SIZE else 0.0
        if ancillary:
            seconds, nanoseconds = _stamp(ancillary[0][2])
            arrived = seconds + nanoseconds * 1e-9
            self.read_at, self.arrived_at = before, arrived
            if self._tls is None:
                earliest_of_last = arrived
        else:
            self.read_at = self.arrived_at = arrived = _now()
        if size > self._half_full or before - arrived > _LATE:
            earliest = earliest_of_last = 0.0
        self._earliest_of_others, self._earliest_of_last = earliest, earliest_of_last
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
        self._outgoing.write(self._tls.pending())
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

    def _frame(self, opcode: Opcode, payload: bytes, number: int = -1) -> None:
        data = Frame(opcode, payload).serialize(mask=True)
        self._outgoing.write(data if self._tls is None else self._tls.encrypt(data), number)

    def _end(self, code: int) -> None:
        self._watcher.stop()
        self._watcher.close()
        self._outgoing.close()
        self._fd.close()
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close(code)


class _Outgoing:
    """What one socket sends: at once as far as the kernel takes it, and the rest when it takes more."""

    __slots__ = ("_fd", "_numbers", "_on_sent", "_queue", "_taken", "_watcher")

    def __init__(self, fd: Any, on_sent: OnSent) -> None:
        self._fd = fd
        self._on_sent = on_sent
        self._queue = bytearray()
        self._numbers: deque[tuple[int, int]] = deque()  # where a message ends among all bytes sent, and its number
        self._taken = 0  # bytes that the kernel took
        self._watcher: Any = None  # most sockets never wait to write

    def write(self, data: bytes, number: int = -1) -> None:
        """Send or queue it; with a number, tell when the kernel has taken it."""
        if not data:
            return
        sent = 0
        if not self._queue:
            try:
                sent = self._fd.send(data)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                return  # the reader sees the end as well, and reports it
            self._taken += sent
            if sent == len(data):
                if number >= 0:
                    self._on_sent(number)
                return
            if self._watcher is None:
                self._watcher = gevent.get_hub().loop.io(self._fd.fileno(), _WRITE)
            self._watcher.start(self._flush)
        self._queue += data[sent:]
        if number >= 0:
            self._numbers.append((self._taken + len(self._queue), number))

    def close(self) -> None:
        """The socket ends: what waits is never sent."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()

    def _flush(self) -> None:
        try:
            sent = self._fd.send(self._queue)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._queue.clear()
            self._numbers.clear()
            sent = 0
        self._taken += sent
        del self._queue[:sent]
        while self._numbers and self._numbers[0][0] <= self._taken:
            self._on_sent(self._numbers.popleft()[1])
        if not self._queue:
            self._watcher.stop()


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


@dataclass(frozen=True, slots=True)
class _Upgrade:
    """What the handshake left: bytes that came with it, whether packets are stamped, and how long it took at least."""

    leftover: bytes
    stamped: bool
    lower: float  # seconds from sending to the earliest arrival of the answer, 0 for unknown


def _nothing_sent(_number: int) -> None:
    """For those who do not ask when a message was sent."""


def connect(
    url: str,
    on_text: OnText,
    on_close: OnClose,
    on_sent: OnSent = _nothing_sent,
    *,
    timeout: float = 30.0,
    stamps: bool = True,
) -> Socket:
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
            upgrade = _shake_hands(url, fd, tls, stamped=stamps and _ask_for_stamps(fd))
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
    return Socket(raw, tls, on_text, on_close, on_sent, upgrade)


def _shake_hands(url: str, fd: Any, tls: _Tls | None, *, stamped: bool) -> _Upgrade:
    """Upgrade the connection. Raises InvalidHandshake or OSError."""
    protocol, request = access.opening(url)
    protocol.send_request(request)
    data = b"".join(protocol.data_to_send())
    fd.sendall(data if tls is None else tls.encrypt(data))
    sent = time.time()
    answer = bytearray()
    stamp = 0.0
    while (end := answer.find(b"\r\n\r\n")) < 0:
        part, stamp = _read(fd, tls, stamped=stamped)
        answer += part
    if answer.startswith(b"HTTP/1.1 101"):
        # Only the head goes to the protocol, so that it parses no frame: frames are for the reader above.
        protocol.receive_data(bytes(answer[: end + 4]))
    else:
        protocol.receive_data(bytes(answer))
        while protocol.handshake_exc is None:
            protocol.receive_data(_read(fd, tls, stamped=False)[0])
    if protocol.handshake_exc is not None:
        raise protocol.handshake_exc
    leftover = bytes(answer[end + 4 :])
    # A stamp is that of the last byte that was read.
    return _Upgrade(leftover, stamped, 0.0 if leftover else max(stamp - sent, 0.0))


def _read(fd: Any, tls: _Tls | None, *, stamped: bool) -> tuple[bytes | bytearray, float]:
    """Some bytes and, if they are stamped and not encrypted, when the kernel had them; else 0."""
    if stamped:
        data, ancillary, _, _ = fd.recvmsg(4096, _ANCILLARY)
    else:
        data, ancillary = fd.recv(4096), []
    if not data:
        raise ConnectionResetError(errno.ECONNRESET, "the server closed the connection during the handshake")
    if tls is not None:
        return tls.decrypt(memoryview(data)), 0.0
    if not ancillary:
        return data, 0.0
    seconds, nanoseconds = _STAMP.unpack(ancillary[0][2])
    return data, seconds + nanoseconds * 1e-9


def _ask_for_stamps(fd: Any) -> bool:
    if _SO_TIMESTAMPNS is None or struct.calcsize("P") != 8:
        return False
    try:
        fd.setsockopt(sockets.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True
