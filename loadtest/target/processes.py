"""Start a service, or a Redis server, of our own and end it again.

The one launcher of the kit: the swarm, the replay, the notebooks and the tests all start
`python -m service`, and `python -m service.stores.embedded_redis`, through it. Two rules make it clean however
its owner ends:

- the child gets a pipe as stdin and stops when it closes: when the owner dies, even by SIGKILL,
  the kernel closes the pipe and the child stops by itself;
- port 0 is the default and the child's first line on stdout is the URL, so nobody has to
  guess a free port or to poll for one.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import urlsplit

TAIL_LINES = 200  # of the child's log, kept for an error message or a log pane


class ServiceFailed(RuntimeError):
    """A child did not start, or ended when nobody asked it to; the text has its last lines."""


class Child:
    """A process of the kit, owned by this one, that says its URL first and stops when its stdin closes."""

    process: subprocess.Popen[str]

    def __init__(self, name: str) -> None:
        self._name = name
        self._tail: list[str] = []
        self._readers: list[threading.Thread] = []

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    @property
    def log(self) -> list[str]:
        """The last lines the process logged, oldest first."""
        return list(self._tail)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _launch(
        self,
        command: Iterable[str],
        *,
        heading: int = 1,
        environment: Mapping[str, str] | None = None,
        timeout: float,
    ) -> list[str]:
        """Start it and return the first lines of its stdout, `heading` of them. Raises `ServiceFailed`."""
        self.process = subprocess.Popen(
            [*command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            # A group of its own: Ctrl-C, or a notebook's interrupt, is for the owner and not for the child.
            process_group=0,
            # Line by line, also where the child's stdout is a pipe.
            env={**os.environ, **(environment or {}), "PYTHONUNBUFFERED": "1"},
        )
        said: queue.Queue[list[str]] = queue.Queue(1)
        self._readers = [
            threading.Thread(
                target=self._read, args=(self.process.stdout, heading, said), name="child-stdout", daemon=True
            ),
            threading.Thread(target=self._read, args=(self.process.stderr,), name="child-stderr", daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        try:
            lines = said.get(timeout=timeout)
        except queue.Empty:
            self._end()
            raise ServiceFailed(f"{self._name} printed no URL within {timeout:g} s{self._last_words()}") from None
        if not lines[-1]:
            status = self._end()
            raise ServiceFailed(f"{self._name} ended with status {status} before it served{self._last_words()}")
        return lines

    def _end(self, timeout: float = 10.0) -> int:
        """End it by closing its stdin, by force after `timeout` seconds; return its exit status."""
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for reader, stream in zip(self._readers, (self.process.stdout, self.process.stderr), strict=True):
            reader.join(timeout=1.0)
            # While something else holds the other end, its reader waits, and closing would wait for the reader.
            if stream is not None and not reader.is_alive():
                stream.close()
        return self.process.returncode

    def _read(self, stream: IO[str], heading: int = 0, said: queue.Queue[list[str]] | None = None) -> None:
        if said is not None:
            said.put([stream.readline().strip() for _ in range(heading)])
        for line in stream:
            self._tail.append(line.rstrip("\n"))
            del self._tail[:-TAIL_LINES]

    def _last_words(self) -> str:
        return ":\n" + "\n".join(self._tail[-10:]) if self._tail else " and said nothing"


class Service(Child):
    """A running `python -m service`, owned by this process.

    `arguments` are command-line options of the service (`("--tick-ms", "20")`), `environment`
    adds to this process' own. Blocks until the child has printed its URL, at most `timeout`
    seconds. Raises `ServiceFailed` with the child's last log lines when it does not.
    """

    def __init__(
        self,
        arguments: Iterable[str] = (),
        *,
        port: int = 0,
        environment: Mapping[str, str] | None = None,
        prefix: Iterable[str] = (),
        timeout: float = 30.0,
    ) -> None:
        super().__init__("the service")
        command = [*prefix, sys.executable, "-m", "service", "--port", str(port), "--until-stdin-closes", *arguments]
        (self.url,) = self._launch(command, environment=environment, timeout=timeout)

    @property
    def pid(self) -> int:
        """The process id of the service."""
        return self.process.pid

    @property
    def ws_url(self) -> str:
        """The WebSocket address, `ws://host:port/ws`."""
        return "ws" + self.url.removeprefix("http").rstrip("/") + "/ws"

    def stop(self, timeout: float = 10.0) -> int:
        """End the service by closing its stdin, by force after `timeout` seconds; return its exit status."""
        return self._end(timeout)


class RedisServer(Child):
    """A running Redis server, owned by this process, that can be stopped, started, killed and frozen.

    With a `folder` it keeps its data there, in dump.rdb; without one every start finds it empty.
    `binary` is its program, else the one that is found. `url`, `port` and, from start to start,
    `pid` (the server's own) tell where it is. Blocks until it serves, at most `timeout` seconds,
    here and in `start`. Raises `ServiceFailed` when it does not.
    """

    def __init__(
        self, folder: str | Path | None = None, *, port: int = 0, binary: str | None = None, timeout: float = 10.0
    ) -> None:
        super().__init__("the Redis server")
        self._options = [*(("--folder", str(folder)) if folder else ()), *(("--binary", binary) if binary else ())]
        self._timeout = timeout
        self.port = port or self._reserve_port()
        self._launch_server()

    def start(self) -> None:
        """Start it again, at the same port and over the same folder; does nothing while it runs."""
        if not self.alive:
            self._launch_server()

    def stop(self, save: bool = True) -> None:
        """Shut it down: with its data saved (where there is a folder), or with what is not saved yet lost."""
        if not save and self.alive:
            self._shut_down_without_saving()
        self._end()

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        self._signal(signal.SIGKILL)
        self._end()

    def freeze(self) -> None:
        """Let it stand still: its connections stay, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self.alive:
            os.kill(self.pid, number)

    def _launch_server(self) -> None:
        command = [sys.executable, "-m", "service.stores.embedded_redis", "--port", str(self.port), *self._options]
        self.url, pid = self._launch(command, heading=2, timeout=self._timeout)
        self.port = urlsplit(self.url).port or 0
        self.pid = int(pid.removeprefix("pid "))

    def _shut_down_without_saving(self) -> None:
        import redis  # noqa: PLC0415 - the swarm has no need to load it
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415

        self.thaw()
        with redis.Redis(port=self.port, socket_timeout=self._timeout, retry=Retry(NoBackoff(), 0)) as client:
            client.shutdown(nosave=True)

    def _reserve_port(self) -> int:
        """Choose a port and keep it for the life of this object.

        The kernel gives free ports to outgoing connections, and so could give away that of a server
        which is stopped for a while. One that is bound it does not give; on Linux the server can bind
        beside us as long as we do not listen. Elsewhere the server chooses, and the port is free in between.
        """
        if sys.platform != "linux":
            return 0
        place = socket.socket()
        weakref.finalize(self, place.close)
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(("127.0.0.1", 0))
        port: int = place.getsockname()[1]
        return port
