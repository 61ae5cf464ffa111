"""The benchmark: its arithmetic on known recordings, its receiver against real servers, its files."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import websockets
from wide import first_of

from loadtest.bench import __main__ as command
from loadtest.bench.harness import cores_and_usage, results, servers, statistics
from loadtest.bench.harness.cores_and_usage import Cores, Gauge
from loadtest.bench.harness.receiver_handle import ReceiverFailed, ReceiverHandle
from loadtest.bench.harness.servers import (
    COMPETITORS,
    OURS,
    Competitor,
    NotHere,
    Ours,
    Program,
    RunningServer,
    board,
)
from loadtest.bench.measurements import generator_cost, stuck_readers
from loadtest.bench.measurements.fanout import Plan, run, table
from loadtest.bench.measurements.idle_connections import Probed
from loadtest.target.processes import ServiceFailed

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the benchmark reads Linux' clocks"),
    pytest.mark.starts_process,
]


@pytest.fixture
def cores() -> Cores:
    return Cores.of_this_machine()


@pytest.fixture(autouse=True)
def keep_all_cores():
    """An audience moves this process to its own core; the other tests want all of them back."""
    before = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, before)


def recording(*deliveries: tuple[int, float, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Arrays of (version, arrival, socket)."""
    versions, stamps, owners = zip(*deliveries, strict=True)
    return np.array(versions, np.int64), np.array(stamps, np.float64), np.array(owners, np.int32)


def test_spread_is_first_to_last_of_boards_that_arrived_whole():
    """A board's spread spans its sockets; one that crosses the window's edge has none, but its part counts."""
    arrays = recording((1, 9.99, 0), (1, 10.01, 1), (2, 10.1, 0), (2, 10.104, 1), (3, 10.2, 1), (3, 10.207, 0))
    found = statistics.summary(*arrays, {}, 10.0, 11.0)
    assert found["spreads"] == pytest.approx([4.0, 7.0], abs=0.01)
    assert found["deliveries"] == 5


def test_latency_is_from_the_boards_own_time():
    """Latency runs from a board's time to each arrival; a board without a time has no latency."""
    arrays = recording((1, 10.010, 0), (1, 10.030, 1), (2, 10.5, 0))
    found = statistics.summary(*arrays, {1: 10.0}, 10.0, 11.0)
    assert found["latency_p50"] == pytest.approx(20.0)
    assert statistics.summary(*arrays, {}, 10.0, 11.0)["latency_p99"] is None


def test_silence_runs_to_the_end_of_the_window():
    """A socket that got one board and then none has been silent since."""
    arrays = recording((1, 10.0, 0), (2, 10.05, 0), (3, 10.9, 0), (1, 10.001, 1))
    assert statistics.summary(*arrays, {}, 10.0, 11.0)["silence"] == pytest.approx(999.0)


def test_nothing_recorded_is_no_error():
    """An empty recording gives empty figures."""
    empty = (np.empty(0, np.int64), np.empty(0), np.empty(0, np.int32))
    found = statistics.summary(*empty, {}, 0.0, 1.0)
    assert (found["deliveries"], found["spreads"], found["latency_p99"]) == (0, [], None)


def test_ratios_are_taken_round_by_round():
    """A round in which the whole machine was slow does not show in a ratio."""
    assert statistics.ratios([5.0, 50.0, 5.5], [10.0, 100.0, 10.0]) == {"median": 0.5, "min": 0.5, "max": 0.55}


@pytest.mark.parametrize("size", [1024, 4096])
def test_boards_come_near_the_size_asked_for(size: int):
    """The number of rows is the one whose board is nearest."""

    def miss(rows: int) -> int:
        message = {"type": "leaderboard-update", "data": board(rows)}
        return abs(len(json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()) - size)

    rows = servers.rows_for(size)
    assert miss(rows) <= min(miss(rows - 1), miss(rows + 1))
    assert servers.rows_for(10) == 1


def windows(receivers: ReceiverHandle, server: RunningServer) -> Iterator[dict[str, Any]]:
    """What the receivers record in one second after another, ten at most; a busy machine leaves boards out of some."""
    return (receivers.watch(1.0, server=server.gauge) for _ in range(10))


@pytest.mark.parametrize("name", [OURS, "usual", "encode-once", "websockets"])
def test_each_client_gets_each_board_once(name: str, cores: Cores):
    """Every server's boards reach every client, with one version each, and cost time that is measured."""
    contest = COMPETITORS[name].start(cores.server)
    try:
        with ReceiverHandle(cores) as audience:
            audience.ask("target", **contest.target)
            audience.connect(12)
            contest.begin(audience, 5, 20.0, 12)
            seen = next(one for one in windows(audience, contest) if one["boards"] >= 10)
            # Only the first and the last board of the window may be there in part.
            assert 12 * (seen["boards"] - 2) < seen["deliveries"] <= 12 * seen["boards"]
            assert seen["payload_bytes"] == pytest.approx(len(json.dumps(board(5), ensure_ascii=False)), rel=0.2)
            assert 0 < seen["server_cpu"] < 1
            assert seen["latency_p50"] > 0
            contest.rest(audience)
    finally:
        contest.stop()


@pytest.mark.parametrize("name", ["python-socketio", "node-ws", "node-socketio", "nchan"])
def test_who_is_here_takes_part_and_who_is_not_says_so(name: str, cores: Cores):
    """A contestant whose parts are missing is left out with a reason; one that is here delivers."""
    try:
        contest = COMPETITORS[name].start(cores.server)
    except NotHere as reason:
        pytest.skip(f"NOT RUN: {name} – {reason}")
    try:
        with ReceiverHandle(cores) as audience:
            audience.ask("target", **contest.target)
            audience.connect(5)
            contest.begin(audience, 3, 20.0, 5)
            assert audience.watch(1.0, server=contest.gauge)["deliveries"] >= 50
    finally:
        contest.stop()


async def test_the_receiver_walks_frames_that_come_in_pieces(cores: Cores):
    """Boards cut anywhere, run together, long, and with pings among them are counted as what they are."""
    texts = [f'{servers.MARK}{version},"sentAt":{version},"x":"{"y" * size}"}}}}'.encode()
             for version, size in ((1, 10), (2, 300), (3, 70_000), (4, 1))]  # fmt: skip
    pongs: list[bytes] = []

    def frame(text: bytes) -> bytes:
        size = len(text)
        if size < 126:
            return b"\x81" + bytes([size]) + text
        return (b"\x81\x7e" + size.to_bytes(2) if size < 65_536 else b"\x81\x7f" + size.to_bytes(8)) + text

    one, two, three, four = map(frame, texts)
    stream = one + b"\x89\x02hi" + two + frame(b'{"type":"pong"}') + three + four

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        key = request.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0].decode()
        accept = websockets.utils.accept_key(key)
        writer.write(f"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {accept}\r\n\r\n".encode())
        await writer.drain()
        await started.wait()
        for start in range(0, len(stream), 9973):
            writer.write(stream[start : start + 9973])
            await writer.drain()
            await asyncio.sleep(0.02)  # so that each piece is a read of its own
        for start in range(0, 200, 7):
            writer.write(frame(b'{"type":"late"}' * 20)[start : start + 7])
            await writer.drain()
        pongs.append(await reader.readexactly(8))
        finished.set()
        await ended.wait()
        writer.close()
        await writer.wait_closed()

    started, finished, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with ReceiverHandle(cores) as audience:
        await asyncio.to_thread(audience.ask, "target", **servers.target(port))
        await asyncio.to_thread(audience.connect, 1)
        started.set()
        await asyncio.wait_for(finished.wait(), 10)
        await asyncio.sleep(0.05)
        found = await asyncio.to_thread(audience.ask, "report", since=0, until=9e9)
    assert pongs[0][0] == 0x8A
    assert pongs[0].endswith(b"hi")
    assert (found["deliveries"], found["boards"]) == (4, 4)
    assert found["payload_bytes"] == pytest.approx(sum(map(len, texts)) / 4)
    ended.set()
    server.close()
    await server.wait_closed()


def test_an_audience_that_cannot_connect_says_so(cores: Cores):
    """A port nobody listens on is an error, not an empty measurement."""
    with ReceiverHandle(cores) as audience:
        audience.ask("target", **servers.target(1))
        with pytest.raises(ReceiverFailed, match="expected 3 open sockets"):
            audience.connect(3)


def test_a_program_that_does_not_start_shows_its_last_words(cores: Cores):
    """A contestant that ends at once is reported with what it said."""
    with pytest.raises(ServiceFailed, match="no such luck"):
        Program([sys.executable, "-c", "raise SystemExit('no such luck')"], core=cores.server, target={})


def test_cpu_time_of_another_process_is_read(cores: Cores):
    """A process that works shows its CPU time, one that sleeps shows none."""
    work, rest = (
        subprocess.Popen([sys.executable, "-c", f"print(flush=True)\n{what}"], stdout=subprocess.PIPE)
        for what in ("while True: pass", "import time; time.sleep(60)")
    )
    try:
        for process in (work, rest):
            process.stdout.readline()
        busy, idle = Gauge(work.pid), Gauge(rest.pid)
        before, until = idle.cpu_seconds(), time.monotonic() + 20
        while busy.cpu_seconds() < 0.3:
            assert time.monotonic() < until, "a process that does nothing but work shows no CPU time"
            time.sleep(0.01)
        assert idle.cpu_seconds() - before < 0.05
    finally:
        for process in (work, rest):
            process.kill()
            process.wait()
            process.stdout.close()


@pytest.mark.extension
def test_readers_who_stop_are_ended_and_counted(cores: Cores):
    """The receiver's stopped sockets fill up at the server, which ends them as 4408."""
    contest = Ours(cores.server, "--tick-ms", "5")
    try:
        with ReceiverHandle(cores) as audience:
            audience.ask("target", **contest.target)
            audience.connect(6)
            contest.begin(audience, 80, 200.0, 6)
            audience.ask("stop_reading", first=4, stop=6)
            for _ in range(200):
                if stuck_readers._too_slow(contest) == 2:
                    break
                audience.ask("count")
                time.sleep(0.1)
            assert stuck_readers._too_slow(contest) == 2
    finally:
        contest.stop()


def test_a_collection_is_timed_in_the_services_own_process(cores: Cores):
    """The probe runs the whole service and answers with the pause of a full collection."""
    with Probed(cores.server) as service:
        assert service.url.startswith("http://127.0.0.1:")
        assert 0 <= service.collect() < 1000


def trial(name: str, number: int, cost: float) -> dict[str, object]:
    """One measurement as the contest makes it."""
    return {
        "round": number, "name": name, "clients": 1000, "size": 1024, "hz": 20.0, "us_per_delivery": cost,
        "delivered": 1.0, "kb_per_connection": 30.0, "payload_bytes": 973.2, "spreads": [4.0, 5.0, 6.0],
    }  # fmt: skip


def result() -> dict[str, object]:
    """A contest of two, in which this service holds one bound and misses the other."""
    trials = [trial(*one) for one in ((OURS, 1, 5.0), ("usual", 1, 25.0), (OURS, 2, 6.0), ("usual", 2, 20.0),
                                      ("nchan", 1, 4.0), ("nchan", 2, 4.0))]  # fmt: skip
    names = (OURS, "usual", "nchan")
    return {
        "rounds": 2, "window_seconds": 4.0, "cores_apart": True,
        "others_cpu": {"median": 0.0, "min": 0.0, "max": 0.1}, "versions": {"node": "1.2"},
        "missing": {"node-ws": "Node.js is not on this machine"},
        "labels": {name: COMPETITORS[name].label for name in names}, "table": table(trials), "trials": trials,
    }  # fmt: skip


@pytest.mark.parametrize("name", first_of(*generator_cost.LABELS))
def test_every_receiver_is_measured_alike(name: str, cores: Cores, monkeypatch: pytest.MonkeyPatch):
    """This load test and the others get boards on each connection, and cost CPU and memory that is measured."""
    for what, value in (("FEW", 30), ("CONNECTIONS", 40), ("WARM_UP", 0.5)):
        monkeypatch.setattr(generator_cost, what, value)
    monkeypatch.setitem(generator_cost.HZ, name, 20.0)
    said: list[str] = []
    found = generator_cost.run([name], cores, said.append, rounds=1, seconds=2.0)
    (row,) = found["rows"]
    assert row["us_per_board"]["median"] > 1
    assert 5 < row["boards_per_second"]["median"] < 25
    assert len(found["bounds"]) == (2 if name == generator_cost.OURS else 0)
    assert "µs for a board" in said[0]


def test_the_load_tests_cost_has_a_table(tmp_path: Path):
    """The part about the load test says what it costs, beside others, and whether it holds its bounds."""
    trials = [
        {"name": name, "us_per_board": cost, "kb_per_connection": 12.0, "boards_per_second": 20.0}
        for name, cost in (
            (generator_cost.OURS, 8.0),
            ("sync-gevent", 40.0),
            (generator_cost.OURS, 10.0),
            ("sync-gevent", 20.0),
        )
    ]
    rows = generator_cost.table(trials, [generator_cost.OURS, "sync-gevent"])
    bounds = generator_cost.bounds(rows)
    assert [one["found"] <= one["bound"] for one in bounds] == [True, True, True]
    results.save(tmp_path, "generator", {"rows": rows, "bounds": bounds}, {"cpu": "a processor"})
    page = (tmp_path / "benchmark.md").read_text(encoding="utf-8")
    assert "| websockets.sync, gevent | 30.0 | 20.0–40.0 | 0.350 |" in page


def test_a_missed_bound_is_shown_as_missed():
    """Each bound is judged by the median of the rounds' ratios."""
    held = {one["what"]: one["found"] <= one["bound"] for one in results.bounds(result())}
    assert list(held.values()) == [True, False, True]
    found = {one["what"]: one["found"] for one in results.bounds(result())}
    assert next(iter(found.values())) == pytest.approx((5 / 25 + 6 / 20) / 2)


def test_the_files_say_what_was_found_where_and_what_is_missing(tmp_path: Path):
    """JSON keeps every trial, the table names who was left out, the picture parses; parts do not erase each other."""
    results.save(tmp_path, "fanout", result(), {"cpu": "a processor", "cores": 2})
    results.save(tmp_path, "idle", {"rows": [], "bounds": []}, {"cpu": "a processor"})
    saved = json.loads((tmp_path / "benchmark.json").read_text(encoding="utf-8"))
    assert len(saved["fanout"]["trials"]) == 6
    assert set(saved) == {"fanout", "idle"}
    page = (tmp_path / "benchmark.md").read_text(encoding="utf-8")
    assert "Left out: node-ws – Node.js is not on this machine." in page
    assert "cpu a processor" in page
    assert "**no**" in page
    picture = ET.parse(tmp_path / "benchmark.svg")  # noqa: S314 - drawn a moment ago
    assert picture.getroot().tag.endswith("svg")


def test_a_contest_leaves_out_who_is_not_here(cores: Cores, monkeypatch: pytest.MonkeyPatch):
    """A contestant that cannot run is named in one line, and the others play on."""

    def missing(_core: int) -> None:
        raise NotHere("its program is not on this machine")

    monkeypatch.setitem(COMPETITORS, "absent", Competitor("absent", "Somebody else", missing))
    said: list[str] = []
    plan = Plan(["websockets", "absent"], rounds=1, clients=[20], sizes=[512], hz=20.0, window=0.5)
    found = run(plan, cores, said.append)
    assert found["missing"] == {"absent": "its program is not on this machine"}
    assert [row["name"] for row in found["table"]] == ["websockets"]
    assert said[0] == "left out: Somebody else – its program is not on this machine"


def test_the_rate_keeps_within_what_a_receiver_can_take():
    """More clients than the most deliveries allow get fewer boards, not fewer bytes."""
    plan = Plan([OURS], 1, [100, 4000], [1024], hz=20.0, window=1.0)
    assert (plan.rate(100), plan.rate(4000)) == (20.0, 5.0)


@pytest.mark.parametrize("arguments", [["--only", "nobody"], ["--rounds", "0"], ["--clients", "1,x"], ["dance"]])
def test_wrong_options_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    """A wrong option ends with status 2 and says what was expected."""
    with pytest.raises(SystemExit) as ended:
        command.parse(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_the_contest_is_what_runs_when_no_command_is_named():
    """Options alone mean the contest."""
    assert command.parse(["--quick", "--only", "usual,nchan"]).command == "fanout"


@pytest.mark.parametrize(("found", "status", "word"), [(1.9, 0, "holds"), (2.1, 3, "DOES NOT HOLD")])
def test_a_bound_that_does_not_hold_is_the_exit_status(found, status, word, tmp_path, monkeypatch, capsys):
    """All is measured and written, and the command ends with 0 where every bound holds, with 3 where one does not."""
    bounds = [{"what": "pause, ms", "bound": 2.0, "found": found}, {"what": "memory, KB", "bound": 9.0, "found": 1.0}]
    monkeypatch.setitem(command.MEASURE, "idle", lambda *_: {"bounds": bounds})
    monkeypatch.setattr(results, "markdown", lambda _: "")
    assert command.main(["idle", "--output", str(tmp_path)]) == status
    assert f"pause, ms: {found:.2f}, bound 2: {word}\n" in capsys.readouterr().out
    assert "bounds" in json.loads((tmp_path / "benchmark.json").read_text("utf-8"))["idle"]


@pytest.mark.parametrize(("ours", "status"), [(True, 0), (False, 3)])
def test_stuck_readers_must_not_break_our_bounds(ours, status, tmp_path, monkeypatch):
    """The exit status is 3 where this service breaks a bound; the controls, which have to, do not count."""
    verdicts = {"this service": [{"holds": True}, {"holds": ours}], "usual FastAPI": [{"holds": False}]}
    monkeypatch.setitem(command.MEASURE, "stuck", lambda *_: {"verdicts": verdicts})
    monkeypatch.setattr(results, "markdown", lambda _: "")
    assert command.main(["stuck", "--output", str(tmp_path)]) == status


def test_the_environment_names_no_machine():
    """What is published says the kind of cores_and_usage, not which."""
    text = json.dumps(cores_and_usage.environment())
    assert socket.gethostname() not in text
    assert str(Path.home()) not in text
