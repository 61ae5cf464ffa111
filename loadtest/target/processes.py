"""Start processes of our own – a service, a Redis server, a program of the benchmark – and end them again.

The one launcher of the kit: the load test, its benchmark, the notebooks and the tests start their children through
it. Four rules keep it clean, however the owner ends:

- the child gets a pipe as stdin and stops when it closes: when the owner dies, even by SIGKILL,
  the kernel closes the pipe and the child stops by itself. For a program that does not look at its
  stdin `parent_watch` does;
- what the child says is read all the time, so that it never waits for a reader;
- the child gets the environment that its owner gives it, not what a shell has set up for other services;
- port 0 is the default and the child's first line on stdout is the URL, so nobody has to
  guess a free port or to poll for one.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import unquote, urlsplit

from loadtest.target import parent_watch
from loadtest.target.child_environment import child_environment
from loadtest.target.ports import free_port

TAIL_LINES = 200  # of the child's log, kept for an error message or a log pane
STARTS_WITHIN = 20.0  # seconds


class ServiceFailed(RuntimeError):
    """A child did not start, or ended when nobody asked it to; the text has its last lines."""


class Child:
    """A process of the kit, owned by this one, that stops when its stdin closes."""

    process: subprocess.Popen[str]

    def __init__(self, name: str) -> None:
        self._name = name
        self._tail: list[str] = []
        self._readers: list[threading.Thread] = []
        self._heard: queue.Queue[str | None] = queue.Queue()  # None: it says nothing any more

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

    def hear(self, timeout: float | None = None) -> str:
        """The next line for its owner. Raises `ServiceFailed` when there is none in `timeout` seconds, and ends it."""
        try:
            line = self._heard.get(timeout=timeout)
        except queue.Empty:
            self._end()
            raise ServiceFailed(f"{self._name} printed nothing within {timeout:g} s{self._last_words()}") from None
        if line is None:
            self._heard.put(None)
            status = self._end()
            raise ServiceFailed(f"{self._name} ended with status {status} before it answered{self._last_words()}")
        return line

    def _launch(
        self,
        command: Iterable[str],
        *,
        heard: Callable[[str], bool],
        environment: Mapping[str, str] | None = None,
        together: bool = False,
    ) -> None:
        """Start it. Lines of its stdout that are `heard` are for its owner (`hear`), all others are its log.

        With `together` the lines of its stderr may be heard as well.
        """
        self.process = subprocess.Popen(
            [*command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if together else subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            # A group of its own: Ctrl-C, or a notebook's interrupt, is for the owner and not for the child.
            process_group=0,
            # Line by line, also where the child's stdout is a pipe.
            env=child_environment({**(environment or {}), "PYTHONUNBUFFERED": "1"}),
        )
        self._heard = queue.Queue()  # another one, as something may still hold the stdout of the process before
        reads: list[tuple[Any, ...]] = [(self.process.stdout, heard, self._heard)]
        if not together:
            reads.append((self.process.stderr,))
        self._readers = [threading.Thread(target=self._read, args=each, name="child", daemon=True) for each in reads]
        for reader in self._readers:
            reader.start()

    def _tell(self, line: str) -> None:
        """Write a line to its stdin. One that has ended does not hear it, which its next answer shows."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()

    def _end(self, timeout: float = 10.0) -> int:
        """End it by closing its stdin, and its group by force after `timeout` seconds; return its exit status."""
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # something that it no longer reads
                self.process.stdin.close()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for reader in self._readers:
            reader.join(timeout=1.0)  # it goes on while something else holds the other end
        return self.process.returncode

    def _read(
        self,
        stream: IO[str],
        heard: Callable[[str], bool] = lambda _: False,
        owner: queue.Queue[str | None] | None = None,
    ) -> None:
        with contextlib.closing(stream):  # here, as closing would wait for who reads
            for line in stream:
                text = line.rstrip("\n")
                if owner is not None and heard(text):
                    owner.put(text)
                else:
                    self._tail.append(text)
                    del self._tail[:-TAIL_LINES]
        if owner is not None:
            owner.put(None)

    def _last_words(self) -> str:
        return ":\n" + "\n".join(self._tail[-10:]) if self._tail else " and said nothing"


def _first(count: int, start: str = "") -> Callable[[str], bool]:
    """Whether a line is one of the first so many that start like this."""
    left = iter(range(count))
    return lambda line: line.startswith(start) and next(left, None) is not None


class Service(Child):
    """A running `python -m service`, owned by this process.

    `arguments` are command-line options of the service (`("--tick-ms", "20")`), `environment`
    adds to `child_environment`. Blocks until the child has printed its URL, at most `timeout`
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
        self._launch(command, heard=_first(1), environment=environment)
        self.url = self.hear(timeout)

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
    `binary` is its program, else the one that is found. `url`, the same after each start, is that of a unix
    socket which this user alone can open, or with `tcp` that of a port, with a password; `pid` is the
    server's own. Blocks until it serves, at most `timeout` seconds, here and in `start`. Raises
    `ServiceFailed` when it does not.
    """

    def __init__(
        self, folder: str | Path | None = None, *, binary: str | None = None, tcp: bool = False, timeout: float = 10.0
    ) -> None:
        super().__init__("the Redis server")
        self._options = [*(("--folder", str(folder)) if folder else ()), *(("--binary", binary) if binary else ())]
        self._timeout = timeout
        self._place = ["--port", str(self._reserve_port() or free_port())] if tcp else []
        self._password = ""
        self._launch_server()

    def start(self) -> None:
        """Start it again, at the same URL and over the same folder; does nothing while it runs."""
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

    @property
    def port(self) -> int:
        """The port with `tcp`, else 0."""
        return urlsplit(self.url).port or 0

    @property
    def password(self) -> str:
        """The password with `tcp`, else nothing."""
        return urlsplit(self.url).password or ""

    def _signal(self, number: signal.Signals) -> None:
        if self.alive:
            os.kill(self.pid, number)

    def _launch_server(self) -> None:
        command = [sys.executable, "-m", "service.stores.embedded_redis", *self._place, *self._options]
        self._launch(command, heard=_first(2))
        if self._password:
            self._tell(self._password)
        self.url, pid = self.hear(self._timeout), self.hear(self._timeout)
        self.pid = int(pid.removeprefix("pid "))
        self._stay()

    def _stay(self) -> None:
        """Have the next start at the same URL."""
        if self.port:
            self._password = self.password
            self._place = ["--port", str(self.port), "--password-from-stdin"]
        else:
            self._place = ["--socket-folder", str(Path(unquote(urlsplit(self.url).path)).parent)]

    def _shut_down_without_saving(self) -> None:
        import redis  # noqa: PLC0415 - the swarm has no need to load it
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415

        self.thaw()
        with redis.Redis.from_url(self.url, socket_timeout=self._timeout, retry=Retry(NoBackoff(), 0)) as client:
            client.shutdown(nosave=True)

    def _reserve_port(self) -> int:
        """Choose a port and keep it for the life of this object, or 0 where that cannot be.

        The kernel gives free ports to outgoing connections, and so could give away that of a server
        which is stopped for a while. One that is bound it does not give; on Linux the server can bind
        beside us as long as we do not listen.
        """
        if sys.platform != "linux":
            return 0
        place = socket.socket()
        weakref.finalize(self, place.close)
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(("127.0.0.1", 0))
        port: int = place.getsockname()[1]
        return port


class WatchedCommand(Child):
    """Any command, run by `parent_watch`, so that it ends with this process although it does not look at its stdin.

    `pid` is the command's. Lines that are `heard` are for `hear`. Raises `ServiceFailed` when it does not start.
    """

    def __init__(
        self,
        name: str,
        command: Iterable[str],
        *,
        heard: Callable[[str], bool] = lambda _: False,
        environment: Mapping[str, str] | None = None,
        together: bool = False,
    ) -> None:
        super().__init__(name)
        watched, first = [sys.executable, "-P", parent_watch.__file__, *command], _first(1, "pid ")
        self._launch(watched, heard=lambda line: first(line) or heard(line), environment=environment, together=together)
        self.pid = int(self.hear(STARTS_WITHIN).removeprefix("pid "))

    def interrupt(self) -> None:
        """Ask it to end: SIGTERM, once."""
        if self.alive:
            self.process.terminate()

    def stop(self, timeout: float = 10.0) -> int:
        """End it, by force after `timeout` seconds; return its exit status."""
        return self._end(timeout)
