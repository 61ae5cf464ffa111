"""What the operating system says of this machine and of the processes on it."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

LIBRARIES = (
    "fastapi", "starlette", "uvicorn", "uvloop", "httptools", "websockets", "pydantic", "python-socketio",
)  # fmt: skip


class NotLinux(Exception):
    """The benchmark needs Linux."""


@dataclass(frozen=True)
class Cores:
    """Where the servers run and where everything else does; the same core when there is but one."""

    server: int
    clients: int

    @classmethod
    def of_this_machine(cls) -> Cores:
        """The last core for the servers, the first for the rest. Raises `NotLinux`."""
        if not sys.platform.startswith("linux"):
            raise NotLinux("expected Linux, whose CPU clocks and receive stamps are read here")
        allowed = sorted(os.sched_getaffinity(0))
        return cls(server=allowed[-1], clients=allowed[0])

    @property
    def apart(self) -> bool:
        """Whether servers and receivers have a core each."""
        return self.server != self.clients


def on_core(core: int) -> list[str]:
    """The words before a command that keep it, and all it starts, on one core."""
    program = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); os.execvp(sys.argv[2], sys.argv[2:])"
    return [sys.executable, "-c", program, str(core)]


class Gauge:
    """The CPU time and memory of a process with its children."""

    def __init__(self, pid: int) -> None:
        root = psutil.Process(pid)
        self._processes = [root, *root.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """User and system time of all threads, living and ended, to the nanosecond."""
        # A process' CPU clock has its complemented pid in the upper bits (clock_getcpuclockid).
        return sum(time.clock_gettime(~one.pid << 3 | 2) for one in self._processes)

    def memory(self) -> float:
        """Bytes that are these processes' own, shared pages by their part (PSS)."""
        return float(sum(one.memory_full_info().pss for one in self._processes))


def busy_seconds() -> float:
    """CPU seconds that all processes of the machine have used."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.softirq + times.irq + times.steal)


def environment() -> dict[str, Any]:
    """What a reader has to know of the machine: kinds and versions, no names and no places."""
    found: dict[str, Any] = {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "system": f"Linux {platform.release().split('-')[0]}",
        "python": platform.python_version(),
    }
    for library in LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[library] = metadata.version(library)
    return found


def version_of(*command: str) -> str | None:
    """The first line a program says of its version, None when it is not there."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        return (done.stdout or done.stderr).strip().splitlines()[0]
    return None


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
