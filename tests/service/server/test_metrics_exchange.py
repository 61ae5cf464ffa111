"""The figures of all workers on one page, whichever of them is asked and however the others are."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from loadtest.target.prometheus_text import Samples
from service.metrics import Metrics
from service.server import metrics_exchange
from service.server.metrics_exchange import MetricsExchange, folder_of_workers

StartWorker = Callable[[int], Awaitable[MetricsExchange]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the workers of the test meet; the first of them makes it."""
    return tmp_path / "workers"


@pytest.fixture
async def start_worker(folder: Path) -> AsyncIterator[StartWorker]:
    """Start a worker that has so many connections open."""
    running: list[MetricsExchange] = []

    async def start(connections: int) -> MetricsExchange:
        metrics = Metrics()
        metrics.connections.set(connections)
        running.append(MetricsExchange(metrics.page, workers=2, folder=lambda: folder))
        await running[-1].start()
        return running[-1]

    yield start
    for one in running:
        await one.stop()


async def connections(exchange: MetricsExchange) -> dict[str, float]:
    """The open connections on the worker's page, by worker."""
    return Samples.parse((await exchange.page()).decode()).by("leaderboard_connections", "worker")


async def up(exchange: MetricsExchange) -> dict[str, float]:
    """Who answered, on the worker's page."""
    return Samples.parse((await exchange.page()).decode()).by("leaderboard_worker_up", "worker")


async def test_whichever_is_asked_shows_all(start_worker: StartWorker) -> None:
    """Each figure under the number of its worker."""
    workers = [await start_worker(connections) for connections in (3, 4, 5)]
    for one in workers:
        assert await connections(one) == {"0": 3, "1": 4, "2": 5}
        assert await up(one) == {"0": 1, "1": 1, "2": 1}


async def test_a_worker_that_stopped_is_left_out_and_its_number_is_given_again(start_worker: StartWorker) -> None:
    """The next worker goes on with its series."""
    first, second = await start_worker(3), await start_worker(4)
    await first.stop()
    assert await connections(second) == {"1": 4}
    await start_worker(5)
    assert await connections(second) == {"0": 5, "1": 4}


async def test_a_worker_that_was_killed_is_left_out_and_its_number_is_given_again(
    start_worker: StartWorker, folder: Path
) -> None:
    """Its socket stays in the folder, and nobody listens there."""
    first = await start_worker(3)
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(folder / "1.sock"))
    assert await up(first) == {"0": 1}
    await start_worker(5)
    assert await connections(first) == {"0": 3, "1": 5}


async def test_a_worker_that_does_not_answer_is_shown_as_such_and_waited_for_no_longer(
    start_worker: StartWorker, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place is taken, although it says nothing: the next worker has another number."""
    monkeypatch.setattr(metrics_exchange, "PATIENCE_SECONDS", 0.1)
    first = await start_worker(3)
    with socket.socket(socket.AF_UNIX) as stuck:
        stuck.bind(str(folder / "1.sock"))
        stuck.listen()
        await start_worker(5)
        began = time.monotonic()
        assert await up(first) == {"0": 1, "1": 0, "2": 1}
        assert time.monotonic() - began < 5, "it never answers"
        assert await connections(first) == {"0": 3, "2": 5}


async def test_a_worker_that_ends_within_its_answer_is_left_out(start_worker: StartWorker, folder: Path) -> None:
    """Half a page might end within a number."""
    first = await start_worker(3)

    async def half(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(Metrics().page("1")[:-3])
        writer.close()

    async with await asyncio.start_unix_server(half, folder / "1.sock"):
        assert await connections(first) == {"0": 3}
        assert await up(first) == {"0": 1}


async def test_who_asks_and_leaves_harms_nobody(start_worker: StartWorker, folder: Path) -> None:
    """The worker goes on to answer."""
    await start_worker(3)
    for _ in range(3):
        _, writer = await asyncio.open_unix_connection(folder / "0.sock")
        writer.transport.abort()
    second = await start_worker(4)
    assert await connections(second) == {"0": 3, "1": 4}


async def test_the_folder_goes_with_the_last_worker(start_worker: StartWorker, folder: Path) -> None:
    """And with what workers that were killed left there; it is made for the user alone."""
    workers = [await start_worker(3), await start_worker(4)]
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(folder / "2.sock"))
    assert folder.stat().st_mode & 0o777 == 0o700
    for one in workers:
        assert folder.exists()
        await one.stop()
    assert not folder.exists()


async def test_a_folder_that_others_may_enter_is_not_used(
    start_worker: StartWorker, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One line says so, and the worker shows its own figures."""
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    first = await start_worker(3)
    assert Samples.parse((await first.page()).decode()).value("leaderboard_connections") == 3
    assert "expected a folder of this user alone" in caplog.text
    assert list(folder.iterdir()) == []


async def test_where_there_is_no_room_for_a_folder_one_line_says_so(
    start_worker: StartWorker, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a file system that is read-only."""
    folder.parent.joinpath("workers").write_text("a file is in its place")
    first = await start_worker(3)
    assert Samples.parse((await first.page()).decode()).value("leaderboard_connections") == 3
    assert caplog.text.count("/metrics shows one worker only") == 1


async def test_one_worker_alone_has_no_folder_and_no_label(folder: Path) -> None:
    """Its page costs what it did."""
    metrics = Metrics()
    alone = MetricsExchange(metrics.page, workers=1, folder=lambda: folder)
    await alone.start()
    assert "worker" not in (await alone.page()).decode()
    assert not folder.exists()
    await alone.stop()


def test_the_folder_is_that_of_one_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes with another key, of another service, meet elsewhere."""
    first = folder_of_workers()
    assert folder_of_workers() == first
    monkeypatch.setattr(metrics_exchange.multiprocessing.current_process(), "authkey", b"another")
    assert folder_of_workers() != first


def test_workers_that_come_and_go_at_once_have_numbers_of_their_own(folder: Path) -> None:
    """Each number is one worker's, also while the last one takes the folder away and the next one makes it."""
    guard, held = threading.Lock(), set()

    def come_and_go() -> None:
        for _ in range(20):
            listener, place = metrics_exchange._take_place(folder)
            with guard:
                assert place not in held
                held.add(place)
            with guard:
                held.discard(place)
            metrics_exchange._leave(place)
            listener.close()

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(come_and_go) for _ in range(4)]:
            done.result()
    assert not folder.exists()
