"""The chaos run's own parts: it must break what it says, and notice what it is there to notice."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from chaos.__main__ import parse, run
from chaos.account import is_sum_of, judge
from chaos.faults import Kind, schedule
from chaos.promise import Told
from chaos.proxy import Proxy
from chaos.report import render
from chaos.swarm import Op, Player
from chaos.timeline import Life, Timeline

pytestmark = pytest.mark.starts_process

PATIENCE = 30.0
UNTIL_TOLD = 60.0  # longer than any test waits


class Echo:
    """A server that says back what it hears, behind a proxy, and the connections to it."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []

    def ear(self) -> asyncio.Protocol:
        return EchoServer(self)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.proxy.port)
        self.writers.append(writer)
        return reader, writer


class EchoServer(asyncio.Protocol):
    def __init__(self, echo: Echo) -> None:
        self.echo = echo

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.echo.heard.append(data)
        self.transport.write(data)


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    """An echo behind a proxy."""
    echo = Echo()
    server = await asyncio.get_running_loop().create_server(echo.ear, "127.0.0.1", 0)
    async with Proxy(server.sockets[0].getsockname()[1]) as echo.proxy:
        yield echo
        for writer in echo.writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def said_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: bytes) -> None:
    """Return when the text came back."""
    writer.write(text)
    async with asyncio.timeout(PATIENCE):
        assert await reader.readexactly(len(text)) == text


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the connection ended with a reset."""
    async with asyncio.timeout(PATIENCE):
        try:
            await reader.read()
        except ConnectionResetError:
            return True
        return False


async def test_a_proxy_carries_every_byte(echo: Echo):
    """Large writes arrive whole and in order."""
    reader, writer = await echo.connect()
    await said_back(reader, writer, bytes(range(256)) * 4096)


async def test_a_cut_resets_and_new_connections_work(echo: Echo):
    """It is over for those who are connected, and for nobody else."""
    reader, writer = await echo.connect()
    await said_back(reader, writer, b"a")
    echo.proxy.cut()
    assert await ended(reader)
    await said_back(*await echo.connect(), b"b")


async def test_held_bytes_arrive_later(echo: Echo):
    """Nothing is lost by a pause, also on a connection that begins in it."""
    before = await echo.connect()
    await said_back(*before, b"a")
    holding = asyncio.create_task(echo.proxy.hold(UNTIL_TOLD))
    await asyncio.sleep(0)
    during = await echo.connect()
    saying = [asyncio.create_task(said_back(*before, b"b")), asyncio.create_task(said_back(*during, b"c"))]
    said, _ = await asyncio.wait(saying, timeout=0.2)
    assert not said
    holding.cancel()
    await asyncio.gather(*saying)


async def test_delayed_bytes_arrive_after_their_connection_has_ended(echo: Echo):
    """And after what a newer connection said."""
    reader, old = await echo.connect()
    await said_back(reader, old, b"1")
    late = asyncio.create_task(echo.proxy.delay(UNTIL_TOLD))
    await asyncio.sleep(0)
    old.write(b"2")
    old.close()
    await said_back(*await echo.connect(), b"3")
    assert echo.heard == [b"1", b"3"]
    late.cancel()
    async with asyncio.timeout(PATIENCE):
        while len(echo.heard) < 3:
            await asyncio.sleep(0.01)
    assert echo.heard == [b"1", b"3", b"2"]


@pytest.mark.parametrize("direction", ["to redis", "from redis"])
async def test_a_half_open_connection_stands_and_is_reset_at_the_end(echo: Echo, direction: str):
    """Bytes vanish while nobody is told; a connection that lost some never speaks again."""
    reader, writer = await echo.connect()
    await said_back(reader, writer, b"a")
    silent = asyncio.create_task(echo.proxy.half_open(0.3, direction))
    await asyncio.sleep(0)
    writer.write(b"b")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.1)
    await silent
    assert await ended(reader)


async def test_where_nobody_listens_connections_are_refused(echo: Echo):
    """The port comes back when the time is over."""
    refusing = asyncio.create_task(echo.proxy.refuse(0.1))
    await asyncio.sleep(0)
    with pytest.raises(ConnectionRefusedError):
        await echo.connect()
    await refusing
    await said_back(*await echo.connect(), b"a")


def test_a_seed_names_a_schedule():
    """The same seed gives the same faults, each kind among them; another seed gives others."""
    faults = list(schedule(1, 40, 3))
    assert faults == list(schedule(1, 40, 3))
    assert faults != list(schedule(2, 40, 3))
    assert {fault.kind for fault in faults} == set(Kind)
    assert all(0.1 <= fault.seconds <= 5 and 0.05 <= fault.pause <= 1 for fault in faults)


def test_what_was_told_counts_from_its_version_on():
    """Also when answers come out of order, and when a lower version is told later."""
    told = Told()
    for version, points in ((5, 10), (9, 1), (7, 100), (7, 1000)):
        told.add(version, points)
    assert [told.least(version) for version in (4, 5, 6, 7, 8, 9, 10)] == [0, 10, 10, 1110, 1110, 1111, 1111]
    told.add(9, -1)
    told.add(6, 1)
    assert [told.least(version) for version in (5, 6, 7, 9)] == [10, 11, 1111, 1111]


def player_with(*points: int) -> Player:
    player = Player("p")
    for number, one in enumerate(points):
        op = Op(f"op-{number}", one, plain=False, away=False, now=0.0)
        op.answered_at = 1.0
        player.ops.append(op)
        player.sent += one
    return player


def test_the_account_finds_a_lost_and_a_doubled_update():
    """And says which one it was."""
    player = player_with(100, 20, 3)
    assert judge(player, 123, excused=set(), timeline=Timeline()) is None
    lost, doubled = (
        judge(player, 103, excused=set(), timeline=Timeline()),
        judge(player, 126, excused=set(), timeline=Timeline()),
    )
    assert lost is not None
    assert (lost.difference, "op-1" in lost.suspects) == (-20, True)
    assert doubled is not None
    assert (doubled.difference, "op-2" in doubled.suspects) == (3, True)


def test_an_update_without_an_answer_counts_once_or_not_at_all():
    """Never in part, and never twice."""
    player = player_with(100, 20)
    player.ops[1].answered_at = None
    assert [judge(player, score, excused=set(), timeline=Timeline()) is None for score in (100, 120, 110, 140)] == [
        True,
        True,
        False,
        False,
    ]
    assert is_sum_of(0, [])


def test_an_answer_binds_later_frames_of_its_epoch():
    """Of its version and higher ones; nothing is said of another epoch."""
    player = player_with(100, 20)
    player.hear(player.ops[0], "e", 5)
    player.hear(player.ops[1], "e", 8)
    player.hear(player.ops[0], "e", 9)  # told again: the lower version stays
    player.hear(player.ops[1], "e~1", 2)
    assert [player.told["e"].least(version) for version in (4, 5, 8)] == [0, 100, 120]
    assert player.told["e~1"].least(2) == 20


def test_only_a_process_that_could_hear_has_to_know():
    """After a loss of data: who got the first one, or was there and undisturbed."""
    timeline = Timeline()
    here, there, later = Life(0, 1, born=0.0), Life(1, 1, born=0.0), Life(2, 1, born=5.0)
    ticket = timeline.begin_rough(1, 10.0)
    timeline.end_rough(ticket, 12.0)
    assert timeline.can_know(later, [here], sent_at=4.0, published_by=4.1)
    timeline.wiped_at = 20.0
    assert not timeline.can_know(later, [here], sent_at=4.0, published_by=4.1)
    assert timeline.can_know(there, [here], sent_at=4.0, published_by=4.1)
    assert not timeline.can_know(there, [here], sent_at=11.0, published_by=11.1)
    assert timeline.can_know(here, [here], sent_at=11.0, published_by=11.1)
    assert timeline.can_know(later, [here], sent_at=21.0, published_by=21.1)


def options(*arguments: str) -> argparse.Namespace:
    return parse(["--players", "6", "--seats", "8", "--rate", "200", "--minutes", "1.8", *arguments])


async def test_a_store_that_nothing_happens_to_passes():
    """The control alone and undisturbed keeps every promise, so what a run finds is none of its own making."""
    figures = await run(options("--store", "naive", "--workers", "1", "--faults", "0", "--updates", "800"))
    assert figures["passed"], render(figures)
    assert figures["acknowledged"] >= 800
