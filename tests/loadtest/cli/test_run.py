"""A run whose file or page is somewhere, or cannot be written, and one whose owner is killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import psutil
import pytest
from wide import first_of

from loadtest.measure.metrics import FIGURES
from loadtest.report.run_file import read
from loadtest.report.run_path import page_beside

ROOT = Path(__file__).parents[3]
SHORT = ("run", "steady", "--players", "4", "--rate", "8", "--duration", "3s", "--warm-up", "0.2s")
FIRST_LINE_FITS = 3  # blocks of 1,024 bytes: the line of facts, and not all seconds


@pytest.mark.parametrize("name", ["file/run.jsonl", "pipe"])
def test_a_path_that_cannot_be_written_is_refused_before_anything_starts(refuse, tmp_path, name) -> None:
    """Exit status 2 and one line with the path and the reason, for `run` and for the folder of `ramp`."""
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for command in (("run", "steady"), ("ramp",)):
        ended = refuse(*command, "--out", str(tmp_path / name))
        assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert f"expected a file that can be written, got {tmp_path / name}" in ended.err


@pytest.mark.starts_process
@pytest.mark.parametrize("processes", first_of("1", "2"))
async def test_a_full_device_ends_a_run_before_it_sends(loadtest, service, processes) -> None:
    """The first line cannot be written: exit status 2, the reason, and nothing hangs."""
    ended = await loadtest(*SHORT, "--url", service.url, "--processes", processes, "--out", "/dev/full")
    assert ended.status == 2
    assert "expected a file that can be written, got /dev/full (No space left on device)" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.starts_process
async def test_a_disk_that_fills_up_keeps_the_verdict(service, tmp_path) -> None:
    """In mid-run: the verdict is on the screen and is the exit status; one line each says what file and page lack."""
    out = tmp_path / "run.jsonl"
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", f'ulimit -f {FIRST_LINE_FITS}; exec "$@"', "-", sys.executable, "-m", "loadtest", *SHORT,
        "--url", service.url, "--out", str(out), "--gate", "latency_p50<1us", cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, err = (text.decode() for text in await process.communicate())
    verdict = {3: "FAIL", 4: "INVALID"}[process.returncode or 0]  # the latter on a busy machine
    assert f" {verdict}  steady, 4 players" in said
    assert f"{out} lacks " in said
    assert "lines of the run: File too large" in said
    assert "the page of the run is not written" in err
    assert "Traceback" not in said + err
    assert read(out)[0]["kind"] == "run"


@pytest.mark.wide(
    "tests/loadtest/test_locustfile.py::test_the_next_run_of_the_web_ui_plays_on_where_players_are_locked"
)
@pytest.mark.starts_process
async def test_players_who_are_locked_play_on_with_the_secret_of_their_run(loadtest, start_service, tmp_path) -> None:
    """Over two processes and in the next run; another run is told that they are taken, and does not wait for them."""
    url = start_service("--locked-players").url
    run = (*SHORT, "--duration", "1s", "--processes", "2", "--url", url, "--session", "S", "--out", str(tmp_path))
    for _ in range(2):
        ended = await loadtest(*run, "--player-secret", "of-all-players-of-both-runs")
        assert ended.status in {0, 3, 4}, ended.err
        assert "taken" not in ended.out
        assert "of-all-players" not in ended.out + ended.err
    ended = await loadtest(*run, within=30.0)  # less than a run waits for players who may still come
    assert ended.status in {3, 4}
    assert "4 players were asked for, 0 took part" in ended.out
    assert "errors       4 × taken" in ended.out
    assert "of-all-players" not in "".join(file.read_text() for file in tmp_path.iterdir())


def in_a_narrow_terminal(*arguments: str) -> str:
    """What the command writes to a terminal of 40 columns that has neither colours nor a cursor."""
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, 40))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    with subprocess.Popen(
        [sys.executable, "-m", "loadtest", *arguments], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=its, stderr=its,
        env=environment | {"NO_COLOR": "1", "TERM": "dumb"},
    ) as command:  # fmt: skip
        os.close(its)
        written = b""
        with contextlib.suppress(OSError):  # Linux' way to say that nobody holds the other side any more
            while data := os.read(ours, 65536):
                written += data
        os.close(ours)
    assert command.returncode in {0, 3, 4}, written.decode()
    return written.decode()


def test_a_folder_gets_a_run_and_a_narrow_terminal_every_figure(service, tmp_path) -> None:
    """`--out FOLDER` is one new run with its page; nothing that is told of it is cut, coloured or rewritten."""
    told = in_a_narrow_terminal(*SHORT, "--duration", "1s", "--url", service.url, "--out", str(tmp_path))
    run, page = sorted(tmp_path.iterdir(), key=lambda file: file.suffix, reverse=True)
    assert run.name.endswith("-steady.jsonl")
    assert page == page_beside(run)
    result = read(run)[-1]
    for metric in FIGURES:
        assert f"{metric.text(result['metrics'][metric.name])}" in told
    for line in (str(run), str(page), f" {result['verdict']}  steady, 4 players", *result["reasons"]):
        assert line in told
    assert "\x1b" not in told


@pytest.mark.starts_process
async def test_a_killed_run_takes_its_locust_along(under_way, service, tmp_path) -> None:
    """Even by SIGKILL, and even if Locust hangs: no process of the run is left behind."""
    run = await under_way(
        "run", "steady", "--players", "4", "--warm-up", "0s", "--duration", "1h", "--processes", "2",
        "--url", service.url, "--out", str(tmp_path / "run.jsonl"),
    )  # fmt: skip
    await run.says("measure")
    owner = psutil.Process(run.pid)
    family = owner.children(recursive=True)
    assert len(family) == 3  # the leader and its two generators
    os.kill(family[1].pid, signal.SIGSTOP)  # one of them hangs
    owner.kill()
    _, left = await asyncio.to_thread(psutil.wait_procs, family, 30)
    assert left == []
