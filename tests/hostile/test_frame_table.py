"""Every hostile frame gets what the contract says, and nothing else; the service goes on, and its log stays clean."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest
from hostile_frames import FRAMES, HELLO, TEXT
from raw_client import RawClient, frame
from watched_service import WatchedService
from websockets.frames import Frame, Opcode

pytestmark = pytest.mark.starts_process


@pytest.fixture(scope="module")
def watched() -> Iterator[WatchedService]:
    """A service whose log is counted, and that lets the bystander ask after each case."""
    with WatchedService(["--rate", "10000", "--burst", "10000"]) as service:
        yield service


@pytest.fixture(scope="module")
def bystander(watched: WatchedService) -> Iterator[RawClient]:
    """A client that was there before, and is answered after each case."""
    client = RawClient(watched.ws_url)
    yield client
    client.socket.close()


def said(frames: list[Frame]) -> list[dict]:
    return [json.loads(bytes(one.data)) for one in frames if one.opcode is Opcode.TEXT]


def errors(frames: list[Frame]) -> list[dict]:
    return [message["data"] for message in said(frames) if message["type"] == "error"]


def pongs(frames: list[Frame]) -> list[object]:
    return [message["data"]["t"] for message in said(frames) if message["type"] == "pong"]


@pytest.mark.parametrize("name", FRAMES)
def test_a_hostile_frame_gets_its_answer_and_no_other(watched: WatchedService, bystander: RawClient, name: str) -> None:
    """One error for each wrong message, and the socket stays open; or a close with the code of the fault."""
    case, client = FRAMES[name], RawClient(watched.ws_url)
    with contextlib.closing(client.socket):
        client.send(case.sent)
        if case.close is None:
            client.send(frame(TEXT, b'{"type":"ping","data":{"t":4711}}'))
            client.until(lambda frames: 4711 in pongs(frames))
        else:
            assert client.close_code() == case.close
    assert tuple(error["code"] for error in errors(client.frames)) == case.errors
    for error in errors(client.frames):
        assert "expected" in error["message"]
        assert len(error["message"]) < 300
    asked = len(pongs(bystander.frames))
    bystander.send(frame(TEXT, HELLO))
    bystander.until(lambda frames: len(pongs(frames)) > asked)


def test_the_log_of_all_that_is_short_and_without_a_traceback(watched: WatchedService) -> None:
    """At most a line of a kind and second."""
    assert watched.faults() == []
