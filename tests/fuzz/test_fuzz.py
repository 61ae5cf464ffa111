"""The fuzz in short: what is drawn is right and wrong, a service and the readers bear it, and a fault is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest
from fuzz import connections, frames, heads, messages, streams, tables
from fuzz.__main__ import parse
from fuzz.run import parts
from fuzz.tally import Tally
from watched_service import LogBook

from service.core.errors import WrongFrame
from service.core.protocol import decode

SEED = 14


def rng(number: int) -> Random:
    return Random(f"{SEED} {number}")


@pytest.mark.extension
async def test_a_service_bears_any_frames(shared_service) -> None:
    """Each connection is answered or ended, the ended ones by several codes of the contract."""
    tally = Tally("frames", 400)
    await asyncio.gather(
        *(connections.play_frames(tally, number, rng(number), shared_service.ws_url, 12) for number in range(40))
    )
    assert tally.passed, tally.findings
    assert {"answered", "left unfinished", "1002", "1007"} <= set(tally.outcomes)


async def test_a_service_bears_any_heads(shared_service) -> None:
    """Whole requests are answered, others refused, and nothing is answered with a fault of the server."""
    tally = Tally("heads", 120)
    await asyncio.gather(
        *(connections.play_head(tally, number, rng(number), shared_service.url) for number in range(120))
    )
    assert tally.passed, tally.findings
    assert {"200", "400", "404"} <= set(tally.outcomes)


def test_any_message_is_read_or_refused() -> None:
    """Each of them is a message or a wrong frame, and both are drawn often."""
    ends: list[str] = []
    for number in range(1000):
        text = messages.message(rng(number))
        assert len(text.encode()) <= 4096
        try:
            ends.append(decode(text).type)
        except WrongFrame as wrong:
            ends.append(wrong.code)
    assert {"ping", "update-score", "bad-json", "bad-message", "unknown-type"} <= set(ends)


@pytest.mark.parametrize("check", [tables.check, streams.check], ids=["tables", "streams"])
def test_the_load_tests_readers_bear_anything(check) -> None:
    """A score log or a stream of frames is read or refused, whatever it holds and however it is cut."""
    tally = Tally("readers", 300)
    for number in range(300):
        check(tally, number, rng(number))
    assert tally.passed, tally.findings
    assert min(tally.outcomes["read"], 300 - tally.outcomes["read"]) > 30


def test_a_seed_draws_the_same_again() -> None:
    """What was found can be made again."""
    for draw in (messages.message, heads.head, tables.table, streams.stream, lambda rng: frames.plan(rng, 20)):
        assert draw(rng(1)) == draw(rng(1)) != draw(rng(2))


def test_a_part_that_is_not_wanted_is_left_out() -> None:
    """Zero cases of something are none, not one connection."""
    options = parse(["--frames", "0", "--heads", "5"])
    assert [part.name for part in parts(options)] == ["messages", "heads"]


class Mute(asyncio.Protocol):
    """A server that becomes a WebSocket and then says nothing."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET"):
            self.transport.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")


@pytest.fixture
async def mute() -> AsyncIterator[str]:
    """The address of a server that leaves everybody waiting."""
    server = await asyncio.get_running_loop().create_server(Mute, "127.0.0.1", 0)
    yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
    server.close()
    await server.wait_closed()


async def test_a_service_that_does_not_answer_is_found(mute, monkeypatch) -> None:
    """With what was sent to it."""
    monkeypatch.setattr(connections, "PATIENCE", 0.1)
    tally = Tally("frames", 1)
    for number in range(3):
        await connections.play_frames(tally, number, rng(number), mute, 3)
    assert tally.wrong >= 1
    assert "neither answered nor ended" in tally.findings[0]


@pytest.mark.parametrize(
    ("lines", "faults"),
    [
        (['{"logger":"a","event":"b"}'] * 3, 0),
        (['{"logger":"a","event":"b"}'] * 4, 1),
        (['{"logger":"a","event":"b"}', '{"logger":"a","event":"c"}'] * 3, 0),
        (['{"logger":"a","event":"b","exception":"Traceback"}'], 1),
        (["Traceback (most recent call last):"], 1),
    ],
    ids=["within", "too many", "of two kinds", "traceback", "no JSON"],
)
def test_a_log_beyond_its_budget_is_found(lines: list[str], faults: int) -> None:
    """One line of a kind and second, and no traceback."""
    book = LogBook()
    for line in lines:
        book.note(line)
    assert len(book.faults(2.5)) == faults
