"""Run Locust for a `RunSpec`, as a process with the generator's processes below it.

Neither Locust nor gevent is imported here: they patch sockets, and this runs in processes of people's own.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Final

from loadtest.plan.run_spec import RunSpec
from loadtest.target.child_environment import child_environment
from loadtest.target.open_files import raise_file_limit
from loadtest.target.ports import free_port
from loadtest.target.processes import ServiceFailed

PACKAGE: Final = Path(__file__).parents[1]
LOCUST_SCRIPT: Final = str(PACKAGE / "load" / "locust_process.py")
# What Python is to run for Locust with the players of this package, whatever locust.conf there is.
LOCUST: Final = ("-P", LOCUST_SCRIPT, "-f", str(PACKAGE / "locustfile.py"))

UNTIL_STDIN_CLOSES: Final = "--until-stdin-closes"  # an option of that script


def ready(spec: RunSpec) -> RunSpec:
    """Complete the spec, and see that this machine can play it.

    Raises ValueError, `score_log.Unreadable` and `TooManySockets` for what cannot be played, ModuleNotFoundError
    without Locust.
    """
    for name in ("locust", "psutil"):
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    spec.parsed_gates()
    whole = spec.completed()
    raise_file_limit(math.ceil((whole.players or 0) / whole.processes))
    return whole


def command(spec: RunSpec) -> list[str]:
    """The command line of Locust that plays the spec and ends."""
    parts = [
        sys.executable, *LOCUST, "--headless", "--only-summary", "--loglevel", "WARNING", *spec.to_options("locust"),
    ]  # fmt: skip
    if spec.processes > 1:
        # At Locust's own port the processes of two runs would take each other for theirs.
        port = str(free_port())
        parts += ["--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port]
    return parts


def environment() -> dict[str, str]:
    """The environment in which Locust finds this package, from wherever it is started."""
    path = os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))
    return child_environment({"PYTHONPATH": path})


def run(spec: RunSpec, beyond: Sequence[str] = (), *, cores: frozenset[int] = frozenset(), quiet: bool = False) -> int:
    """Play the spec, on these cores if any are named; return the exit status.

    `beyond` are more options for Locust. Raises `ServiceFailed`, KeyboardInterrupt.
    """
    with on_cores(cores):
        return _to_its_end([*command(spec), UNTIL_STDIN_CLOSES, *beyond], environment(), quiet=quiet)


@contextlib.contextmanager
def on_cores(cores: frozenset[int]) -> Iterator[None]:
    """Within it, this process and those it starts use these cores; empty: as before."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _to_its_end(command: list[str], environment: dict[str, str], *, quiet: bool) -> int:
    """Run Locust; return its exit status. Raises KeyboardInterrupt when it was interrupted before it could judge.

    No `processes.Child`: what Locust prints is what this command prints, as it comes.

    SIGINT and SIGTERM reach it as one SIGTERM. Once Locust is ready it ends the run on that: it settles and
    judges what there is. Before, while it imports, it just dies of it, and without a traceback.
    """
    swarm: subprocess.Popen[bytes] | None = None
    signals: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        signals.append(number)
        if swarm is None or swarm.returncode is not None:
            return
        if signals.count(signal.SIGINT) > 1:
            _kill(swarm)
        elif len(signals) == 1:
            swarm.terminate()

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        # In a group of its own, so that a terminal's Ctrl-C comes from here alone. Its stdin closes when this
        # process ends, however it ends.
        out = subprocess.DEVNULL if quiet else None
        swarm = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=out, stderr=out, process_group=0
        )
        if signals:  # while it was started
            swarm.terminate()
        status = swarm.wait()
        _end_rest(swarm)
    finally:
        if swarm is not None and swarm.stdin is not None:
            swarm.stdin.close()
        for number, handler in before.items():
            signal.signal(number, handler)
    if status < 0:
        _kill(swarm)  # its generator processes, which nobody leads any more
        if signals:
            raise KeyboardInterrupt
        raise ServiceFailed(f"Locust was ended by {signal.Signals(-status).name}")
    return status


def _end_rest(swarm: subprocess.Popen[bytes]) -> None:
    """Wait a moment for the generator processes, whose leader has ended; one that does not end would live for ever."""
    ends = time.monotonic() + 1.0
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < ends:
            os.killpg(swarm.pid, 0)
            time.sleep(0.02)
    _kill(swarm)


def _kill(swarm: subprocess.Popen[bytes]) -> None:
    """End Locust and all its processes here and now."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(swarm.pid, signal.SIGKILL)
