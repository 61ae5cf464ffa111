"""Proofs that the ruler measures what it says. They take minutes and a quiet machine: `nox -s ruler`."""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from ruler.packet_capture import Seen, seen
from ruler.proxy import Proxy

from loadtest.report.run_file import read

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 100.0  # seconds that one run may take
TRIES = 3  # a shared machine may spoil a run; the ruler says so itself


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """These are tests for a session of their own: collect them only when they are asked for by name."""
    asked = any("ruler" in argument for argument in config.invocation_params.args)
    return None if asked or collection_path.is_dir() else True


FOUND = pytest.StashKey[list[str]]()


@pytest.fixture
def found(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Keep a figure for the end of the session."""
    return request.config.stash.setdefault(FOUND, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """End with what was found: a proof is a number."""
    for line in config.stash.get(FOUND, []):
        terminalreporter.write_line(line)


class Run:
    """`python -m loadtest run steady`, under way."""

    def __init__(self, process: asyncio.subprocess.Process, out: Path) -> None:
        self.process = process
        self._out = out
        self._err = ""

    async def says(self, what: str) -> None:
        """Wait until it tells this of a second."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            while what not in self._err:
                line = await self.process.stderr.readline()
                assert line, f"it ended without {what!r}:\n{self._err}"
                self._err += line.decode()

    async def end(self) -> Result:
        """Wait for its end."""
        async with asyncio.timeout(PATIENCE):
            out, err = await self.process.communicate()
        assert self.process.returncode in {0, 3, 4}, self._err + err.decode()
        return Result(self.process.returncode, read(self._out), out.decode())


class Result:
    """A run on file: `last` is its verdict with metrics and totals."""

    def __init__(self, status: int, lines: list[dict[str, Any]], page: str) -> None:
        self.status = status
        self.lines = lines
        self.last = lines[-1]
        self.page = page

    @property
    def verdict(self) -> str:
        return self.last["verdict"]

    @property
    def metrics(self) -> dict[str, float]:
        return self.last["metrics"]

    @property
    def totals(self) -> dict[str, Any]:
        return self.last["totals"]

    @property
    def spoiled(self) -> bool:
        """Whether something else on the machine was in the generator's way."""
        return any("generator" in reason or "others kept" in reason for reason in self.last["reasons"])

    @property
    def lower(self) -> dict[str, float]:
        """The lower bounds."""
        return self.last["atLeast"]

    @property
    def measured(self) -> tuple[float, float]:
        """When the measured time of the only generator began and ended, in Unix seconds."""
        (share,) = self.totals["shares"].values()
        return share["begins"], share["ends"]


Start = Callable[..., Awaitable[Run]]


@pytest.fixture
async def start_run(tmp_path: Path) -> AsyncIterator[Start]:
    """Start a run against a URL; what still runs ends with the test."""
    running: list[Run] = []

    async def start(url: str, *arguments: str) -> Run:
        out = tmp_path / f"{len(running)}.jsonl"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "loadtest", "run", "steady", "--url", url, "--out", str(out), *arguments,
            cwd=REPOSITORY, env={**os.environ, "PYTHONUNBUFFERED": "1"}, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        running.append(Run(process, out))
        return running[-1]

    yield start
    for one in running:
        if one.process.returncode is None:
            one.process.terminate()
            await one.process.communicate()


@pytest.fixture
def measure(start_run: Start) -> Callable[..., Awaitable[Result]]:
    """Run to the end, again where the generator was hampered. `meanwhile(run)` is awaited while it runs."""

    async def to_the_end(url: str, *arguments: str, meanwhile: Callable[[Run], Awaitable[Any]] | None = None) -> Result:
        for _ in range(TRIES):
            run = await start_run(url, *arguments)
            if meanwhile is not None:
                await meanwhile(run)
            result = await run.end()
            if not result.spoiled:
                break
        return result

    return to_the_end


class Witness:
    """A capture of the packets to and from a port, in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, file: Path) -> None:
        self._process = process
        self._port = port
        self._file = file

    async def end(self) -> Seen:
        """What the packets show."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert await self._process.wait() == 0
        packets, dropped = pickle.loads(self._file.read_bytes())  # noqa: S301 - our own
        assert dropped == 0
        return seen(packets, self._port)


@pytest.fixture
async def witness(tmp_path: Path) -> AsyncIterator[Callable[[str], Awaitable[Witness]]]:
    """Capture the packets of the service at a URL; skips, loudly, where that is not allowed."""
    running: list[asyncio.subprocess.Process] = []

    async def start(url: str) -> Witness:
        port, file = urlsplit(url).port or 80, tmp_path / f"{len(running)}.packets"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ruler.packet_capture", str(port), str(file),
            env={**os.environ, "PYTHONPATH": f"{REPOSITORY / 'tests'}{os.pathsep}{REPOSITORY}"},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        running.append(process)
        assert process.stdout is not None
        if not await process.stdout.readline():
            _, err = await process.communicate()
            reason = err.decode().splitlines()[-1]
            pytest.skip(f"NOT RUN: witness – no packets can be captured here ({reason})")
        return Witness(process, port, file)

    yield start
    for one in running:
        if one.returncode is None:
            one.kill()
            await one.wait()


@pytest.fixture
async def proxy() -> AsyncIterator[Callable[..., Awaitable[Proxy]]]:
    """Start proxies; all of them end with the test."""
    running: list[Proxy] = []

    async def start(target: str, **distortion: Any) -> Proxy:
        one = Proxy(target, **distortion)
        running.append(one)
        await one.start()
        return one

    yield start
    for one in running:
        await one.stop()
