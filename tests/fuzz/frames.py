"""WebSocket frames as bytes (RFC 6455, section 5), right and wrong, drawn by a seeded generator."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from fuzz.messages import message, right

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
PROBE = 424242  # `t` of the ping that ends a plan
CODES = (0, 999, 1000, 1001, 1002, 1005, 1006, 1007, 1011, 1015, 2999, 3000, 4400, 4999, 5000, 65535)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one connection sends, in pieces; `ends_whole`: what came last is read to its end, so a probe may follow."""

    pieces: tuple[bytes, ...]
    frames: int
    ends_whole: bool


def plan(rng: Random, frames: int) -> Plan:
    """A connection of so many frames: mostly right ones first, as a wrong one ends it."""
    worst = rng.random() ** 3  # how many of them are wrong
    made: list[bytes] = []
    sent = 0
    whole = True
    while sent < frames and whole:
        if rng.random() >= worst:
            part, many = rng.choice(HARMLESS)(rng), 1
        elif rng.random() < 0.05:
            part, many, whole = rng.choice(UNFINISHED)(rng), 1, False
        else:
            part, many = _wrong(rng)
        made.append(part)
        sent += many
    return Plan(_in_pieces(rng, b"".join(made)), sent, whole)


def frame(
    rng: Random, opcode: int, payload: bytes, *, final: bool = True, reserved: int = 0, declared: int | None = None,
    form: int | None = None, masked: bool = True,
) -> bytes:  # fmt: skip
    """A frame with whatever its head is to say: `form` is the length of the length, 7, 16 or 64 bits."""
    size = len(payload) if declared is None else declared
    form = form or (7 if size < 126 else 16 if size < 65536 else 64)
    length = {7: bytes([size & 127]), 16: b"\x7e" + (size & 65535).to_bytes(2), 64: b"\x7f" + size.to_bytes(8)}[form]
    head = bytes([final << 7 | reserved << 4 | opcode, length[0] | masked << 7]) + length[1:]
    if not masked:
        return head + payload
    mask = rng.choice((bytes(4), rng.randbytes(4)))
    key = int.from_bytes((mask * (len(payload) // 4 + 1))[: len(payload)])
    return head + mask + (int.from_bytes(payload) ^ key).to_bytes(len(payload))


def probe(rng: Random) -> bytes:
    """A ping of the protocol that is answered with `PROBE`."""
    return frame(rng, TEXT, b'{"type":"ping","data":{"t":%d}}' % PROBE)


# Frames after which a connection lives


def _right(rng: Random) -> bytes:
    return frame(rng, TEXT, right(rng).encode())


def _any_message(rng: Random) -> bytes:
    return frame(rng, TEXT, message(rng).encode())


def _control(rng: Random) -> bytes:
    return frame(rng, rng.choice((PING, PONG)), rng.randbytes(rng.choice((0, 1, 125))))


def _binary(rng: Random) -> bytes:
    return frame(rng, BINARY, rng.randbytes(rng.choice((0, 1, 200, 4096))))


def _fragments(rng: Random) -> bytes:
    text = message(rng).encode()
    cuts = sorted(rng.randrange(len(text) + 1) for _ in range(rng.randint(1, 4)))
    made = []
    for number, (start, stop) in enumerate(zip([0, *cuts], [*cuts, len(text)], strict=True)):
        made.append(frame(rng, CONT if number else TEXT, text[start:stop], final=number == len(cuts)))
        if rng.random() < 0.2:
            made.append(_control(rng))
    return b"".join(made)


HARMLESS = (_right, _right, _any_message, _any_message, _control, _binary, _fragments)


# Frames that end a connection, or may


def _too_large(rng: Random) -> bytes:
    return frame(rng, rng.choice((TEXT, BINARY)), b"x" * rng.choice((4097, 5000, 70_000)))


def _declared_huge(rng: Random) -> bytes:
    return frame(rng, TEXT, b"", declared=rng.choice((1 << 20, 1 << 40, (1 << 63) - 1, 1 << 63)), form=64)


def _reserved_bits(rng: Random) -> bytes:
    return frame(rng, rng.choice((TEXT, CONT, PING)), b"x", reserved=rng.randint(1, 7))


def _reserved_opcode(rng: Random) -> bytes:
    return frame(rng, rng.choice((3, 4, 5, 6, 7, 11, 12, 13, 14, 15)), b"x" * rng.choice((0, 5)))


def _unmasked(rng: Random) -> bytes:
    return frame(rng, rng.choice((TEXT, PING, CLOSE)), right(rng).encode()[:100], masked=False)


def _long_form(rng: Random) -> bytes:
    return frame(rng, TEXT, right(rng).encode()[:100], form=rng.choice((16, 64)))


def _wrong_control(rng: Random) -> bytes:
    opcode = rng.choice((PING, PONG, CLOSE))
    return rng.choice((frame(rng, opcode, b"x" * 126), frame(rng, opcode, b"", final=False)))


def _lone_continuation(rng: Random) -> bytes:
    return frame(rng, CONT, b"{}", final=rng.random() < 0.5)


def _text_within_fragments(rng: Random) -> bytes:
    return frame(rng, TEXT, b"{", final=False) + _right(rng)


def _close(rng: Random) -> bytes:
    code = rng.choice((*CODES, rng.randrange(65536))).to_bytes(2)
    return frame(rng, CLOSE, rng.choice((b"", b"x", code, code + b"bye", code + b"\xff", code + "ä".encode() * 61)))


def _no_utf8(rng: Random) -> bytes:
    return frame(rng, TEXT, rng.choice((b"\xff", b"\xc3", b'"\xed\xa0\x80"', b"\xf4\x90\x80\x80", rng.randbytes(20))))


def _character_in_fragments(rng: Random) -> bytes:
    return frame(rng, TEXT, b"\xc3", final=False) + frame(rng, CONT, rng.choice((b"\xa4", b"(", b"")))


def _empty_fragments(rng: Random) -> bytes:
    return frame(rng, TEXT, b"", final=False) + frame(rng, CONT, b"", final=False) * 5 + frame(rng, CONT, b"")


WRONG = {
    _too_large: 1, _declared_huge: 1, _reserved_bits: 1, _reserved_opcode: 1, _unmasked: 1, _long_form: 1,
    _wrong_control: 1, _lone_continuation: 1, _text_within_fragments: 2, _close: 1, _no_utf8: 1,
    _character_in_fragments: 2, _empty_fragments: 7,
}  # fmt: skip


def _wrong(rng: Random) -> tuple[bytes, int]:
    kind = rng.choice(list(WRONG))
    return kind(rng), WRONG[kind]


# What may want more to follow


def _half(rng: Random) -> bytes:
    whole = rng.choice(HARMLESS)(rng)
    return whole[: rng.randrange(1, len(whole))]


def _open_message(rng: Random) -> bytes:
    return frame(rng, TEXT, b"{", final=False)


def _noise(rng: Random) -> bytes:
    return rng.randbytes(rng.randint(1, 64))


UNFINISHED = (_half, _open_message, _noise)


def _in_pieces(rng: Random, data: bytes) -> tuple[bytes, ...]:
    """The bytes in the packets that they are sent in: one, or cut anywhere."""
    if rng.random() < 0.5:
        return (data,)
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randint(1, 5)))
    return tuple(data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < stop)
