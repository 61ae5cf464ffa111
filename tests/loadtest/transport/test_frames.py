from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from loadtest.transport.frames import BrokenStream, FrameReader

SMALL = b'{"type":"pong","data":{}}'
MEDIUM = b"m" * 1500  # a 16-bit length
LARGE = b"l" * 70_000  # a 64-bit length
EDGE = b"e" * 126


def frame(opcode: Opcode, payload: bytes, fin: bool = True) -> bytes:
    return Frame(opcode, payload, fin=fin).serialize(mask=False)


def frames() -> bytes:
    """Whole messages, fragments with control frames between them, an empty one, and a close."""
    return b"".join(
        [
            frame(Opcode.TEXT, SMALL),
            frame(Opcode.TEXT, MEDIUM),
            frame(Opcode.PING, b"are you there"),
            frame(Opcode.TEXT, b"one ", fin=False),
            frame(Opcode.PING, b"between"),
            frame(Opcode.CONT, b"two ", fin=False),
            frame(Opcode.CONT, b"three"),
            frame(Opcode.TEXT, b""),
            frame(Opcode.BINARY, b"no text"),
            frame(Opcode.TEXT, EDGE),
            frame(Opcode.PONG, b""),
            frame(Opcode.CLOSE, (1012).to_bytes(2) + b"restart"),
        ]
    )


EXPECTED = [
    SMALL, MEDIUM, (9, b"are you there"), (9, b"between"), b"one two three", b"", EDGE, (10, b""),
    (8, b"\x03\xf4restart"),
]  # fmt: skip


class Recorder:
    """A reader and all that it told, in order: texts, and controls as pairs."""

    def __init__(self) -> None:
        self.seen: list[bytes | tuple[int, bytes]] = []
        self.reader = FrameReader(
            lambda data, start, stop: self.seen.append(bytes(data[start:stop])),
            lambda opcode, payload: self.seen.append((opcode, payload)),
        )
        # One buffer for all reads, longer than each and overwritten by the next, as sockets have it.
        self._buffer = bytearray(256 * 1024)

    def feed(self, data: bytes) -> None:
        self._buffer[: len(data)] = data
        self.reader.feed(self._buffer, len(data))
        self._buffer[: len(data)] = b"\xff" * len(data)


def test_a_stream_in_one_read_gives_all_its_messages() -> None:
    """Coalesced frames are told one by one, in order; binary ones are dropped."""
    recorder = Recorder()
    recorder.feed(frames())
    assert recorder.seen == EXPECTED


def test_a_stream_split_at_every_byte_gives_the_same() -> None:
    """Wherever a stream is cut in two, the messages are the same."""
    stream = frames()
    for cut in range(len(stream) + 1):
        recorder = Recorder()
        recorder.feed(stream[:cut])
        recorder.feed(stream[cut:])
        assert recorder.seen == EXPECTED, f"cut at {cut}"


def test_a_stream_byte_by_byte_gives_the_same() -> None:
    """Reads of a single byte lose nothing."""
    recorder = Recorder()
    for byte in frames():
        recorder.feed(bytes([byte]))
    assert recorder.seen == EXPECTED


@given(st.lists(st.integers(0, 1700), max_size=12))
def test_any_cuts_give_the_same(cuts: list[int]) -> None:
    """Any partition of a stream gives the same messages."""
    stream = frames()
    recorder = Recorder()
    places = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    for start, stop in pairwise(places):
        recorder.feed(stream[start:stop])
    assert recorder.seen == EXPECTED


def test_a_64_bit_length_is_read() -> None:
    """A message above 65,535 bytes arrives whole, also when its length field is cut."""
    stream = frame(Opcode.TEXT, LARGE)
    for cut in (1, 2, 3, 5, 9, 10, 11, 40_000):
        recorder = Recorder()
        recorder.feed(stream[:cut])
        recorder.feed(stream[cut:] + frame(Opcode.TEXT, SMALL))
        assert recorder.seen == [LARGE, SMALL]


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        # Masked by chance, so that it needs a name of its own.
        pytest.param(Frame(Opcode.TEXT, b"masked").serialize(mask=True), 1002, id="masked"),
        (b"\xc1\x00", 1002),  # a reserved bit
        (b"\x83\x00", 1002),  # a reserved opcode
        (b"\x09\x00", 1002),  # a fragmented ping
        (b"\x89\x7e\x00\x80" + b"p" * 128, 1002),  # a long ping
        (frame(Opcode.CONT, b"of nothing"), 1002),
        (frame(Opcode.TEXT, b"begun", fin=False) + frame(Opcode.TEXT, b"again"), 1002),
        (b"\x81\x7f" + (2**40).to_bytes(8), 1009),
    ],
)
def test_what_is_no_frame_breaks_the_stream(stream: bytes, code: int) -> None:
    """Each violation of the framing is named by the close code for it."""
    with pytest.raises(BrokenStream) as broken:
        Recorder().feed(stream)
    assert broken.value.code == code
