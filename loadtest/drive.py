"""Start a service of our own and end it again.

The one launcher of the kit: the swarm, the replay, the notebooks and the tests all start
`python -m service` through it. Two rules make it clean however its owner ends:

- the child gets a pipe as stdin and `--until-stdin-closes`: when the owner dies, even by
  SIGKILL, the kernel closes the pipe and the child stops by itself;
- port 0 is the default and the child's first line on stdout is the URL, so nobody has to
  guess a free port or to poll for one.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

TAIL_LINES = 200  # of the child's log, kept for an error message or a log pane


class ServiceFailed(RuntimeError):
    """The service did not start, or ended when nobody asked it to; the text has its last lines."""


class Service:
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
        self._tail: list[str] = []
        self._first_line: queue.Queue[str] = queue.Queue(1)
        command = [*prefix, sys.executable, "-m", "service", "--port", str(port), "--until-stdin-closes", *arguments]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            # A group of its own: Ctrl-C, or a notebook's interrupt, is for the owner and not for the service.
            process_group=0,
            # Line by line, also where the child's stdout is a pipe.
            env={**os.environ, **(environment or {}), "PYTHONUNBUFFERED": "1"},
        )
        self._readers = [
            threading.Thread(target=self._read_stdout, name="service-stdout", daemon=True),
            threading.Thread(target=self._read_stderr, name="service-stderr", daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        try:
            self.url = self._first_line.get(timeout=timeout)
        except queue.Empty:
            self.stop()
            raise ServiceFailed(f"the service printed no URL within {timeout:g} s{self._last_words()}") from None
        if not self.url:
            status = self.stop()
            raise ServiceFailed(f"the service ended with status {status} before it served{self._last_words()}")

    @property
    def pid(self) -> int:
        """The process id of the service."""
        return self.process.pid

    @property
    def ws_url(self) -> str:
        """The WebSocket address, `ws://host:port/ws`."""
        return "ws" + self.url.removeprefix("http").rstrip("/") + "/ws"

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    @property
    def log(self) -> list[str]:
        """The last lines the service logged, oldest first."""
        return list(self._tail)

    def stop(self, timeout: float = 10.0) -> int:
        """End the service by closing its stdin, by force after `timeout` seconds; return its exit status."""
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _read_stdout(self) -> None:
        assert self.process.stdout is not None
        self._first_line.put(self.process.stdout.readline().strip())
        for line in self.process.stdout:
            self._keep(line)

    def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._keep(line)

    def _keep(self, line: str) -> None:
        self._tail.append(line.rstrip("\n"))
        del self._tail[:-TAIL_LINES]

    def _last_words(self) -> str:
        return ":\n" + "\n".join(self._tail[-10:]) if self._tail else " and said nothing"
