"""The harness' end of the receiving process."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from loadtest.bench.harness.cores_and_usage import Cores, Gauge
from loadtest.target.processes import Child

ALL = 1 << 30  # as a `stop`: every socket


class ReceiverFailed(RuntimeError):
    """The sockets could not be opened."""


class ReceiverHandle(Child):
    """A receiving process of our own. Sockets are numbered from 0 in the order of their opening."""

    def __init__(self, cores: Cores) -> None:
        super().__init__("the receiving process")
        os.sched_setaffinity(0, {cores.clients})  # the child inherits it
        self._launch([sys.executable, "-m", "loadtest.bench.harness.receiver_program"], heard=lambda _: True)
        self._gauge = Gauge(self.process.pid)

    def ask(self, what: str, **arguments: Any) -> dict[str, Any]:
        """Give one command and return its answer. Raises `ServiceFailed` when the process has ended."""
        self._tell(json.dumps({"do": what, **arguments}))
        answer: dict[str, Any] = json.loads(self.hear())
        return answer

    def connect(self, count: int, in_flight: int = 32) -> float:
        """Open so many sockets more; return the seconds it took. Raises `ReceiverFailed` when some stay out."""
        before = self.ask("count")["open"]
        answer = self.ask("connect", count=count, in_flight=in_flight)
        if answer["open"] != before + count:
            counts = self.ask("count")
            raise ReceiverFailed(f"expected {before + count} open sockets, got {counts}")
        return float(answer["seconds"])

    def tell(self, *texts: str, first: int = 0, stop: int = ALL) -> None:
        """Send these texts on the sockets from `first` to before `stop`."""
        self.ask("tell", texts=texts, first=first, stop=stop)

    def play(self, text: str, hz: float, first: int = 0, stop: int = 1) -> None:
        """Send the text so often a second, in turn on these sockets; `hz` 0 stops."""
        self.ask("play", text=text, hz=hz, first=first, stop=stop)

    def cpu_seconds(self) -> float:
        """CPU time of the receiving process."""
        return self._gauge.cpu_seconds()

    def watch(self, seconds: float, *, first: int = 0, stop: int = ALL, server: Gauge) -> dict[str, Any]:
        """Record these sockets for so long; return the receiver's figures with the server's CPU beside them."""
        self.ask("record", first=first, stop=stop)
        began, cpu, own = time.time(), server.cpu_seconds(), self.cpu_seconds()
        time.sleep(seconds)
        ended, cpu, own = time.time(), server.cpu_seconds() - cpu, self.cpu_seconds() - own
        figures = self.ask("report", since=began, until=ended)
        took = ended - began
        return figures | {"seconds": took, "server_cpu": cpu, "receiver_cpu": own}
