"""A proxy that distorts, and ways to run the load test's commands as a person would."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socketserver
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from loadtest.__main__ import main
from loadtest.target.ports import free_port

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 60.0


@dataclass
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        return self.out.rstrip("\n").rpartition("\n")[2]


async def command(
    *arguments: str, within: float = PATIENCE, module: str = "loadtest", environment: dict[str, str] | None = None
) -> Ended:
    """Run `python -m loadtest …` to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments,
        cwd=REPOSITORY, env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(within):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


@pytest.fixture
def refuse(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """The same within this process, for commands that end before they begin."""

    def run(*arguments: str) -> Ended:
        try:
            status = main(arguments)
        except SystemExit as wrong_usage:
            status = int(wrong_usage.code or 0)
        return Ended(status, *capfd.readouterr())

    return run


class Under:
    """A command under way, in a process group of its own as in a terminal; `interrupt` is Ctrl-C there."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._err = ""

    @property
    def pid(self) -> int:
        return self._process.pid

    async def says(self, what: str) -> None:
        """Wait until stderr has a line with these words."""
        assert self._process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            while what not in self._err:
                line = await self._process.stderr.readline()
                assert line, f"it ended without {what!r}:\n{self._err}"
                self._err += line.decode()

    async def breathe(self) -> None:
        """Let it go on for a moment; it must not have ended."""
        await asyncio.sleep(0.02)
        assert self._process.returncode is None

    def interrupt(self) -> None:
        os.killpg(self._process.pid, signal.SIGINT)

    async def end(self) -> Ended:
        async with asyncio.timeout(PATIENCE):
            out, err = await self._process.communicate()
        assert self._process.returncode is not None
        return Ended(self._process.returncode, out.decode(), self._err + err.decode())

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._process.terminate()  # which it passes on to what it started
            await self._process.communicate()


@pytest.fixture
async def under_way() -> AsyncIterator[Callable[..., Awaitable[Under]]]:
    """Start `python -m loadtest …`; what still runs ends with the test."""
    running: list[Under] = []

    async def start(*arguments: str, environment: dict[str, str] | None = None) -> Under:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "loadtest", *arguments,
            cwd=REPOSITORY, env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}, process_group=0,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        running.append(Under(process))
        return running[-1]

    yield start
    for one in running:
        await one.stop()


class CannedServer(socketserver.ThreadingTCPServer):
    """Says the same to whoever sends anything, whatever it is."""

    daemon_threads = True

    def __init__(self, answer: bytes) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.recv(65536)
                self.request.sendall(answer)

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host}:{port}"


@pytest.fixture(
    params=[
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\n<html>hi</html>",
        b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\n{"status":"UP"}',
        b"-ERR unknown command 'GET'\r\n",
    ],
    ids=["no such page", "HTML", "other JSON", "no HTTP"],
)
def other_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a server that is another one than the leaderboard."""
    with CannedServer(request.param) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        yield server.url
        server.shutdown()
        serving.join()


@pytest.fixture
def nobody() -> str:
    """A URL at which nobody listens."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture(scope="session")
def loadtest() -> Callable[..., Awaitable[Ended]]:
    return command


class DistortingProxy:
    """Stands between clients and a service. `passes(n, payload)` decides of the n-th frame to a client.

    True passes the frame on, False swallows it, None swallows it and cuts the connection. New connections go to
    `target`, which may change.
    """

    def __init__(self, target: str, passes: Callable[[int, bytes], bool | None]) -> None:
        self.target = target
        self._passes = passes
        self._frames = 0
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None] | None] = set()  # else the collector may take one between two reads
        self.swallowed = 0
        self.url = ""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.current_task()
        self._serving.add(serving)
        try:
            await self._connect(reader, writer)
        finally:
            self._serving.discard(serving)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        service = urlsplit(self.target)
        try:
            to_service = await asyncio.open_connection(service.hostname, service.port)
        except OSError:
            writer.close()
            return
        up = asyncio.create_task(self._copy(reader, to_service[1]))
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            await self._down(to_service[0], writer)
        up.cancel()
        for one in (writer, to_service[1]):
            one.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
            writer.close()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        if not head.startswith(b"HTTP/1.1 101"):
            await self._copy(reader, writer)
            return
        while True:
            start = await reader.readexactly(2)
            size = start[1] & 127
            if size >= 126:
                more = await reader.readexactly(2 if size == 126 else 8)
                start += more
                size = int.from_bytes(more)
            payload = await reader.readexactly(size)
            self._frames += 1
            verdict = self._passes(self._frames, payload)
            if verdict:
                writer.write(start + payload)
                continue
            self.swallowed += 1
            if verdict is None:
                writer.transport.abort()
                return


@pytest.fixture
async def distort() -> AsyncIterator[Callable[..., Awaitable[DistortingProxy]]]:
    """Start distorting proxies; all of them end with the test."""
    running: list[DistortingProxy] = []

    async def start(target: str, passes: Callable[[int, bytes], bool | None]) -> DistortingProxy:
        proxy = DistortingProxy(target, passes)
        await proxy.start()
        running.append(proxy)
        return proxy

    yield start
    for proxy in running:
        await proxy.stop()
