"""A WebSocket client that sends bytes as it is told to, well formed or not, and nothing by itself."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable

from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.protocol import State
from websockets.uri import parse_uri


class RawClient:
    """One connection; the frames that it gets are noted."""

    def __init__(self, url: str) -> None:
        uri = parse_uri(url)
        self._protocol = ClientProtocol(uri)
        self.socket = socket.create_connection((uri.host, uri.port), timeout=10)
        self._protocol.send_request(self._protocol.connect())
        self.send(*self._protocol.data_to_send())
        self.frames: list[Frame] = []
        while self._protocol.state is State.CONNECTING:
            self._read()

    def send(self, *parts: bytes) -> None:
        """Send all of it in one write."""
        self.socket.sendall(b"".join(parts))

    def until(self, done: Callable[[list[Frame]], bool]) -> list[Frame]:
        """Read until the frames so far are `done`; return them."""
        while not done(self.frames):
            assert self._read(), f"the connection ended after {len(self.frames)} frames"
        return self.frames

    def close_code(self) -> int | None:
        """The code of the close frame; it is answered, as a service waits for that, and the connection ends."""
        while self._protocol.close_rcvd is None and self._read():
            pass
        with contextlib.suppress(ConnectionError):
            self.send(*self._protocol.data_to_send())
            while self._read():
                pass
        closed = self._protocol.close_rcvd
        return None if closed is None else closed.code

    def _read(self) -> bool:
        data = self.socket.recv(65_536)
        if not data:
            return False
        self._protocol.receive_data(data)
        self.frames += [event for event in self._protocol.events_received() if isinstance(event, Frame)]
        return True


def frame(opcode: int, data: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = True) -> bytes:
    """A frame of RFC 6455, section 5.2, whether or not that allows it; a mask of zeros leaves the data as it is."""
    size = len(data)
    if size < 126:
        length = struct.pack("!B", size | mask << 7)
    elif size < 65_536:
        length = struct.pack("!BH", 126 | mask << 7, size)
    else:
        length = struct.pack("!BQ", 127 | mask << 7, size)
    return bytes([fin << 7 | rsv << 4 | opcode]) + length + bytes(4 * mask) + data
