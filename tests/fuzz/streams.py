"""Bytes from a server for the swarm's frame reader: whatever they are, and however they are cut, it finds the same."""

from __future__ import annotations

from random import Random

from fuzz import frames
from fuzz.tally import Tally

from loadtest.transport.frames import BrokenStream, FrameReader


def stream(rng: Random) -> bytes:
    """What a server might send: frames without a mask, a few of them wrong."""
    made = [_frame(rng) for _ in range(rng.randint(1, 8))]
    return b"".join(made)[: rng.choice((None, None, rng.randrange(1, 200)))]


def _frame(rng: Random) -> bytes:
    if rng.random() < 0.1:
        return rng.choice(list(frames.WRONG))(rng)
    opcode = rng.choice((frames.TEXT, frames.TEXT, frames.TEXT, frames.CONT, frames.PING, frames.CLOSE, frames.BINARY))
    payload = rng.randbytes(rng.choice((0, 5, 125, 126, 300)))
    return frames.frame(rng, opcode, payload, masked=False, final=rng.random() < 0.8, form=rng.choice((None, None, 16)))


def heard(pieces: list[bytes]) -> list[tuple[str, int, bytes]]:
    """All that the reader reports of the pieces, in order, and how it ended."""
    events: list[tuple[str, int, bytes]] = []
    reader = FrameReader(
        lambda data, start, stop: events.append(("text", 0, bytes(data[start:stop]))),
        lambda opcode, payload: events.append(("control", opcode, payload)),
    )
    try:
        for piece in pieces:
            reader.feed(bytearray(piece), len(piece))
    except BrokenStream as broken:
        events.append(("broken", broken.code, b""))
    return events


def check(tally: Tally, number: int, rng: Random) -> None:
    """Read one whole and in pieces; both must find the same, and nothing but `BrokenStream` may come of it."""
    data = stream(rng)
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randint(1, 12)))
    pieces = [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    try:
        whole, cut = heard([data]), heard(pieces)
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        tally.find(number, f"{type(error).__name__}: {error}", data)
    else:
        tally.outcomes["broken" if whole and whole[-1][0] == "broken" else "read"] += 1
        if whole != cut:
            tally.find(number, f"whole {len(whole)} events, in pieces {len(cut)}", data)
    tally.done += 1
