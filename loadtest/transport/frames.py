"""WebSocket frames from a byte stream (RFC 6455, section 5), for a client that receives boards.

The path of an unfragmented text frame that arrived whole is as short as possible: no object, no
copy, one call with the position of the payload in the buffer. Everything else – fragments, control
frames, frames split across reads – is supported, but may cost more. No I/O here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

MAX_SIZE = 16 * 1024 * 1024  # bytes per message; a larger one counts as a broken stream

OnText = Callable[[bytearray, int, int], None]
OnControl = Callable[[int, bytes], None]

_CONTINUATION, _TEXT, _BINARY = 0, 1, 2
_HEAD = struct.Struct("!HH")  # first two bytes of a frame, and the length of 16 bits that may follow
_BOARD = 0x81 << 8 | 126  # a whole text message with such a length
CLOSE, PING, PONG = 8, 9, 10


class BrokenStream(Exception):
    """The server sent something that is not a frame; `code` is the close code for it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class FrameReader:
    """Takes the bytes that were read; calls `on_text(buffer, start, stop)` and `on_control(opcode, payload)`.

    The buffer is valid only during the call. Binary messages are dropped: the wire contract has none. During a call,
    `last` says whether nothing follows in what was read.
    """

    __slots__ = ("_fragments", "_is_text", "_on_control", "_on_text", "_rest", "last")

    def __init__(self, on_text: OnText, on_control: OnControl) -> None:
        self._on_text = on_text
        self._on_control = on_control
        self._rest = bytearray()  # the beginning of a frame that has not arrived whole
        self._fragments: bytearray | None = None  # the message so far, between its fragments
        self._is_text = False
        self.last = False

    def feed(self, data: bytearray, end: int) -> None:
        """Take the first `end` bytes of `data`. Raises `BrokenStream`; after that, feed no more."""
        at = 0
        if not self._rest and self._fragments is None:
            # Nearly all that is read are boards: whole text of 126 to 65,535 bytes.
            while end - at > _HEAD.size:
                kind, size = _HEAD.unpack_from(data, at)
                start = at + 4
                stop = start + size
                if kind != _BOARD or stop > end:
                    break
                self.last = stop == end
                self._on_text(data, start, stop)
                at = stop
        if at < end:
            self._walk(data, at, end)

    def _walk(self, data: bytearray, at: int, end: int) -> None:
        """Take any number of frames, the first and last of which may not be whole."""
        if self._rest:
            self._rest += data[at:end]
            data, self._rest = self._rest, bytearray()
            at, end = 0, len(data)
        on_text = self._on_text
        while end - at >= 2:
            size = data[at + 1]
            start = at + 2
            if size >= 126:
                if size > 127:
                    raise BrokenStream(1002, "expected an unmasked frame, got a masked one")
                start = at + (4 if size == 126 else 10)
                if start > end:
                    break
                size = int.from_bytes(data[at + 2 : start])
                if size > MAX_SIZE:
                    raise BrokenStream(1009, f"expected at most {MAX_SIZE} bytes, got a frame of {size}")
            stop = start + size
            if stop > end:
                break
            self.last = stop == end
            if data[at] == 0x81 and self._fragments is None:
                on_text(data, start, stop)
            else:
                self._other(data[at], data, start, stop)
            at = stop
        if at < end:
            self._rest = data[at:end]

    def _other(self, first: int, data: bytearray, start: int, stop: int) -> None:
        """Handle a frame that is not a whole text message."""
        final, opcode = first & 0x80, first & 0x0F
        if first & 0x70:
            raise BrokenStream(1002, "expected reserved bits to be 0, got 1")
        if opcode >= CLOSE:
            if opcode > PONG or not final or stop - start > 125:
                raise BrokenStream(1002, f"expected a whole control frame of at most 125 bytes, got opcode {opcode}")
            self._on_control(opcode, bytes(data[start:stop]))
            return
        if opcode > _BINARY or (opcode == _CONTINUATION) != (self._fragments is not None):
            raise BrokenStream(1002, f"expected a frame that may follow here, got opcode {opcode}")
        if self._fragments is None:
            self._fragments = bytearray()
            self._is_text = opcode == _TEXT
        self._fragments += data[start:stop]
        if len(self._fragments) > MAX_SIZE:
            raise BrokenStream(1009, f"expected at most {MAX_SIZE} bytes, got a message of {len(self._fragments)}")
        if final:
            message, self._fragments = self._fragments, None
            if self._is_text:
                self._on_text(message, 0, len(message))
