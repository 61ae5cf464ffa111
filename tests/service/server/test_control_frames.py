"""Pings, pongs and fragments cost their sender: they have a budget of their own, and above it the connection ends."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest
from raw_client import RawClient, frame
from websockets.frames import Frame, Opcode

from service.server.uvicorn_protocol import CONTROL_BURST

pytestmark = pytest.mark.extension

HELLO = b'{"type":"ping","data":{}}'


@pytest.fixture
def raw(shared_service) -> Iterator[RawClient]:
    """A client of its own of a running service."""
    client = RawClient(shared_service.ws_url)
    yield client
    client.socket.close()


def texts(frames: list[Frame]) -> list[str]:
    return [json.loads(bytes(one.data))["type"] for one in frames if one.opcode is Opcode.TEXT]


def test_pings_within_the_budget_are_answered(raw: RawClient) -> None:
    """Each with its own payload, in their order, and the connection stays."""
    raw.send(*(frame(Opcode.PING, b"%d" % number) for number in range(CONTROL_BURST)))
    raw.send(frame(Opcode.TEXT, HELLO))
    frames = raw.until(lambda frames: texts(frames) == ["pong"])
    assert [bytes(one.data) for one in frames if one.opcode is Opcode.PONG] == [b"%d" % n for n in range(CONTROL_BURST)]


def test_a_message_in_fragments_within_the_budget_is_a_message(raw: RawClient) -> None:
    """However small they are."""
    raw.send(frame(Opcode.TEXT, HELLO[:1], fin=False))
    raw.send(*(frame(Opcode.CONT, bytes([byte]), fin=False) for byte in HELLO[1:]), frame(Opcode.CONT))
    raw.until(lambda frames: texts(frames) == ["pong"])


@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.PONG, Opcode.CONT])
@pytest.mark.parametrize("many", [CONTROL_BURST * 2, 100_000])
def test_a_flood_ends_its_connection_with_4429(raw: RawClient, opcode: Opcode, many: int) -> None:
    """Whether it comes in one packet or goes on after the end; at most a slice more than the budget is answered."""
    start = frame(Opcode.TEXT, b"{", fin=False) if opcode is Opcode.CONT else b""
    with contextlib.suppress(ConnectionError):  # the service has given up what it no longer reads
        raw.send(start, frame(opcode, fin=opcode is not Opcode.CONT) * many)
    assert raw.close_code() == 4429
    assert len([one for one in raw.frames if one.opcode is Opcode.PONG]) <= CONTROL_BURST + 4096 / 6


def test_messages_have_a_budget_of_their_own(raw: RawClient) -> None:
    """Pings that used theirs up to the last leave it as it was."""
    raw.send(frame(Opcode.PING) * CONTROL_BURST, frame(Opcode.TEXT, HELLO) * 40)
    raw.until(lambda frames: texts(frames) == ["pong"] * 40)


BEHIND = {
    "pings": frame(Opcode.PING) * 3,
    "a close frame": frame(Opcode.CLOSE, b"\x03\xe8"),
    "a close frame without a code": frame(Opcode.CLOSE),
    "a message and a close frame": frame(Opcode.TEXT, HELLO) + frame(Opcode.CLOSE, b"\x03\xe8"),
    "more of it": frame(Opcode.TEXT, b"\xff") * 3,
    "a fragment": frame(Opcode.TEXT, b"\xff", fin=False),
}


@pytest.mark.parametrize("behind", BEHIND)
def test_what_stands_behind_what_is_no_text_breaks_nothing(raw: RawClient, shared_service, behind: str) -> None:
    """The connection ends with 1007, and nothing is written after its end."""
    raw.send(frame(Opcode.TEXT, b"\xff"), BEHIND[behind])
    assert raw.close_code() == 1007
    assert not [line for line in shared_service.log if "Error" in line or "Traceback" in line]
