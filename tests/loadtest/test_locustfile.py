"""Inside Locust it is Locust: its web UI, its files and its options, with the histogram's figures in them."""

from __future__ import annotations

import asyncio
import csv
import sys
from pathlib import Path
from typing import Any

import pytest

from loadtest.plan.scenarios import default_gates
from loadtest.report.run_file import read
from loadtest.target.child_environment import child_environment
from loadtest.target.ports import free_port

REPOSITORY = Path(__file__).parents[2]


LOCUSTFILE = "loadtest/locustfile.py"


def command(url: str, out: Path, *more: str) -> list[str]:
    return [
        "-f", LOCUSTFILE, "--host", url, "--users", "5", "--spawn-rate", "5", "--rate", "40",
        "--warm-up", "0.2", "--measure", "3", "--out", str(out), *more,
    ]  # fmt: skip


def with_password(url: str) -> str:
    return url.replace("//", "//ann:geheim@")


async def test_the_web_ui_tells_the_runs_own_figures(service, http, tmp_path) -> None:
    """The web UI has a tab with the percentiles of the file, a table that counts every pair, and no password."""
    port = free_port()
    out = tmp_path / "run.jsonl"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "locust", *command(with_password(service.url), out, "--autostart"),
        "--web-host", "127.0.0.1", "--web-port", str(port),
        cwd=REPOSITORY, env=child_environment({"PYTHONPATH": str(REPOSITORY)}),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            while not (out.exists() and read(out) and read(out)[-1]["kind"] == "result"):
                await asyncio.sleep(0.1)
        page = (await http.get(f"http://127.0.0.1:{port}/")).text
        stats = (await http.get(f"http://127.0.0.1:{port}/stats/requests")).json()
        report = (await http.get(f"http://127.0.0.1:{port}/stats/report")).text
    finally:
        process.terminate()
        await process.wait()
    assert service.url in page
    assert "geheim" not in page
    result = read(out)[-1]
    metrics = result["metrics"]
    assert '"extended_tabs"' in page.replace("&#34;", '"')
    assert "Broadcast" in page
    assert f" {result['verdict']}  steady, 5 players" in verdict_in(report)
    (table,) = stats["extended_stats"]
    rows = {row["what"]: row for row in table["data"]}
    latency = rows["score → other screen"]
    assert latency["count"] == metrics["pairs"] > 0
    assert latency["p99"] == pytest.approx(metrics["latency_p99"] * 1000, abs=0.001)
    assert next(iter(rows)) == f"verdict of the last run: {result['verdict']}"
    board = next(entry for entry in stats["stats"] if entry["name"] == "board")
    assert board["num_requests"] == metrics["pairs"]
    assert board["max_response_time"] == pytest.approx(metrics["latency_max"] * 1000, abs=1)
    assert board["median_response_time"] != round(board["median_response_time"])


async def test_the_next_run_of_the_web_ui_plays_on_where_players_are_locked(start_service, http, tmp_path) -> None:
    """Its players are those of the run before, in the same session."""
    url, port = start_service("--locked-players").url, free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "locust", *command(url, tmp_path, "--session", "S", "--measure", "0.5", "--autostart"),
        "--web-host", "127.0.0.1", "--web-port", str(port),
        cwd=REPOSITORY, env=child_environment({"PYTHONPATH": str(REPOSITORY)}),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for number in (1, 2):
            async with asyncio.timeout(60):
                while len(results := list(filter(None, map(result_of, tmp_path.glob("*.jsonl"))))) < number:
                    await asyncio.sleep(0.1)
            if number == 1:
                again = {"user_count": 5, "spawn_rate": 5, "host": url}
                (await http.post(f"http://127.0.0.1:{port}/swarm", data=again)).raise_for_status()
    finally:
        process.terminate()
        await process.wait()
    assert [(one["totals"]["errors"], one["metrics"]["players"]) for one in results] == [({}, 5)] * 2


def verdict_in(report: str) -> str:
    """What stands above Locust's HTML report."""
    return report.partition('<pre id="verdict"')[2].partition("</pre>")[0]


def result_of(file: Path) -> dict[str, Any] | None:
    """The result of a run; None while it is under way."""
    lines = read(file)
    return lines[-1] if lines and lines[-1]["kind"] == "result" else None


async def test_a_master_adds_up_its_workers_exactly(service, tmp_path) -> None:
    """Started by hand as master and two workers, the pairs are each worker's own, and the totals their sum.

    One worker is so slow after the master's welcome that it hears of the test's start before Locust's `init`.
    """
    slow = """
import time
sleep = time.sleep  # before gevent replaces it
from locust import main
from locust.runners import WorkerRunner
handle = WorkerRunner.handle_message
def handle_slowly(runner, message):
    handle(runner, message)
    if message.type == "ack":
        sleep(2)
WorkerRunner.handle_message = handle_slowly
main.main()
"""
    port = str(free_port())
    out = tmp_path / "run.jsonl"
    worker = ["-f", LOCUSTFILE, "--worker", "--master-host", "127.0.0.1", "--master-port", port]
    ways = [
        ["-m", "locust", *command(service.url, out), "--headless", "--expect-workers", "2",
         "--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port],
        ["-m", "locust", *worker],
        ["-c", slow, *worker],
    ]  # fmt: skip
    logs = [tmp_path / name for name in ("master.log", "worker-1.log", "worker-2.log")]
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, *way, "--logfile", str(log),
            cwd=REPOSITORY, env=child_environment({"PYTHONPATH": str(REPOSITORY)}),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )
        for way, log in zip(ways, logs, strict=True)
    ]  # fmt: skip
    try:
        async with asyncio.timeout(60):
            await asyncio.gather(*(process.wait() for process in processes))
    except TimeoutError:
        left = [log.stem for log, process in zip(logs, processes, strict=True) if process.returncode is None]
        told = "\n".join(log.read_text() for log in logs if log.exists())
        pytest.fail(f"expected all three to end, got {left} still running\n{told}")
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()
    result = read(out)[-1]
    shares = result["totals"]["shares"].values()
    assert sorted(share["receivers"] for share in shares) == [2, 3]
    assert sum(share["updates"] * share["receivers"] for share in shares) == result["metrics"]["pairs"] > 0
    late = default_gates("steady")[0]  # the machine's doing, where tests run side by side
    assert [reason for reason in result["reasons"] if not ("generator" in reason or reason.startswith(late))] == []


async def test_locusts_files_have_the_pairs(loadtest, service, tmp_path) -> None:
    """`--headless --csv --html` write Locust's files, with a row for the boards that counts the pairs, no password."""
    out = tmp_path / "run.jsonl"
    more = ("--headless", "--csv", str(tmp_path / "l"), "--html", str(tmp_path / "l.html"), "--tags", "score")
    ended = await loadtest(*command(with_password(service.url), out, *more), module="locust")
    assert ended.status in {0, 4}, ended.err
    written = "".join(file.read_text("utf-8") for file in tmp_path.iterdir())
    assert service.url in written
    assert "geheim" not in ended.out + ended.err + written
    with (tmp_path / "l_stats.csv").open() as file:
        rows = {row["Name"]: row for row in csv.DictReader(file)}
    assert int(rows["board"]["Request Count"]) == read(out)[-1]["metrics"]["pairs"] > 0
    html = (tmp_path / "l.html").read_text("utf-8")
    assert "board" in html
    assert f" {read(out)[-1]['verdict']}  steady, 5 players" in verdict_in(html)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ((), "loadtest: http://127.0.0.1:1: no service answers there"),
        (("--gate", "latency<5"), "loadtest: latency<5: expected a metric"),
    ],
    ids=["nobody at the host", "wrong option"],
)
async def test_a_refused_command_ends_with_its_workers(loadtest, tmp_path, more, error) -> None:
    """Status 2 and one line, before a run is written; no worker is left to hold the stderr that is read to its end."""
    port, out = str(free_port()), tmp_path / "run.jsonl"
    ended = await loadtest(
        *command("http://127.0.0.1:1", out, "--headless", "--processes", "2", "--loglevel", "WARNING"), *more,
        "--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port, module="locust",
    )  # fmt: skip
    assert ended.status == 2, ended.err
    assert ended.err.startswith(error)
    assert ended.err.count("\n") == 1
    assert not out.exists()
