"""Reading the receiving process' sockets, and what is recorded of the boards that they get."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from array import array
from typing import Any, Final

import numpy as np

from loadtest.bench.harness.receiver_socket_table import TEXT, ReceiverSocket, Sockets, masked
from loadtest.bench.harness.statistics import summary

TIMESTAMPNS: Final = getattr(socket, "SO_TIMESTAMPNS", 35)
AT_ONCE: Final = 0.02  # seconds; ticks are farther apart
CROWD: Final = b'{"type":"participants-changed"'
_STAMP: Final = struct.Struct("@qq")
_ANCILLARY: Final = socket.CMSG_SPACE(_STAMP.size)
_BUFFER: Final = bytearray(1 << 20)
_VIEW: Final = memoryview(_BUFFER)
_BUFFERS: Final = [_BUFFER]
_CLOSE, _PING, _PONG = 0x88, 0x89, 0x8A


class Recorder:
    """Reads frames and records the boards among them: one row per board and socket that is recorded."""

    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets
        self._mark = b""
        self._since = b""
        self._first, self._stop = 0, 1 << 30
        self._forget()

    def _forget(self) -> None:
        self._versions = array("q")
        self._stamps = array("d")
        self._owners = array("i")
        self._sizes = 0
        self._sent_at: dict[int, float] = {}

    def expect(self, mark: str, since: str) -> None:
        """A board begins with `mark` and its version; its time, Unix milliseconds, stands behind `since`."""
        self._mark, self._since = mark.encode(), since.encode()

    def start(self, first: int, stop: int) -> None:
        """Forget what was recorded; record from now on the sockets from `first` to before `stop`."""
        self._forget()
        self._first, self._stop = first, stop
        for client in self._sockets.by_serial.values():
            client.recorded = self.covers(client.serial)
            client.notices = client.most_notices = 0

    def covers(self, serial: int) -> bool:
        """Whether the socket of this serial is recorded."""
        return self._first <= serial < self._stop

    def figures(self, since: float, until: float) -> dict[str, Any]:
        """What was recorded between two times (Unix seconds)."""
        figures = summary(
            np.frombuffer(self._versions, np.int64),
            np.frombuffer(self._stamps, np.float64),
            np.frombuffer(self._owners, np.int32),
            self._sent_at,
            since,
            until,
        )
        recorded = (client for client in self._sockets.by_serial.values() if client.recorded)
        return figures | {
            "payload_bytes": self._sizes / len(self._versions) if self._versions else 0.0,
            "most_notices": max((client.most_notices for client in recorded), default=0),
        }

    def read(self, client: ReceiverSocket) -> None:
        """Read what has arrived on an open socket, with the kernel's stamp."""
        try:
            size, ancillary, _, _ = client.socket.recvmsg_into(_BUFFERS, _ANCILLARY)
        except BlockingIOError:
            return
        except OSError:
            self._sockets.end(client, 1006)
            return
        if not size:
            self._sockets.end(client, 1006)
            return
        stamp = time.time()
        if ancillary:
            seconds, nanoseconds = _STAMP.unpack(ancillary[0][2])
            stamp = seconds + nanoseconds * 1e-9
        data = _BUFFER
        if client.rest:
            data = bytearray(client.rest) + _VIEW[:size]
            size = len(data)
            client.rest = b""
        self._take(client, data, size, stamp)

    def take_rest(self, client: ReceiverSocket) -> None:
        """Take what was read together with the handshake."""
        if client.rest:
            rest, client.rest = bytearray(client.rest), b""
            self._take(client, rest, len(rest), time.time())

    def _take(self, client: ReceiverSocket, data: bytearray, size: int, stamp: float) -> None:  # noqa: C901, PLR0912
        """Walk through the frames. The hot path: it calls nothing for a frame."""
        position = 0
        mark = self._mark
        while position < size:
            start = position + 2
            length = data[position + 1] if start <= size else 127
            if length == 126 and start + 2 <= size:
                start += 2
                length = data[start - 2] << 8 | data[start - 1]
            elif length == 127 and start + 8 <= size:
                start += 8
                length = int.from_bytes(data[start - 8 : start])
            elif length >= 126:
                break
            end = start + length
            if end > size:
                break
            if data[position] == TEXT:
                if data.startswith(mark, start):
                    client.noticed_at = 0.0  # a tick ends with its board, or with the rest of a crowd
                    if client.recorded:
                        number = start + len(mark)
                        version = int(data[number : data.index(b",", number)])
                        self._versions.append(version)
                        self._stamps.append(stamp)
                        self._owners.append(client.serial)
                        self._sizes += length
                        if version not in self._sent_at:
                            self._note_time(version, data, number, end)
                elif length == 1 and data[start] == 0x32:  # Engine.IO's ping
                    self._sockets.send(client, masked(b"3"))
                else:
                    client.notices = client.notices + 1 if stamp - client.noticed_at < AT_ONCE else 1
                    client.noticed_at = 0.0 if data.startswith(CROWD, start) else stamp
                    client.most_notices = max(client.most_notices, client.notices)
            elif data[position] == _PING:
                self._sockets.send(client, masked(bytes(data[start:end]), _PONG))
            elif data[position] == _CLOSE:
                self._sockets.end(client, int.from_bytes(data[start : start + 2]) if length >= 2 else 1005)
                return
            position = end
        if position < size:
            client.rest = bytes(data[position:size])

    def _note_time(self, version: int, data: bytearray, start: int, end: int) -> None:
        found = data.find(self._since, start, end)
        if found >= 0:
            found += len(self._since)
            with contextlib.suppress(ValueError):  # null, or the last key of its object
                self._sent_at[version] = float(data[found : data.index(b",", found)]) / 1000
