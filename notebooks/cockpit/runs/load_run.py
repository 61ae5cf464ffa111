"""One run of the load test as a child of the kernel, followed while it writes its file.

Locust is never loaded here: it patches sockets and would block the kernel. It runs in processes of its
own; what is shown is read from the file that they write.
"""

from __future__ import annotations

import asyncio
import atexit
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import loadtest
from cockpit.host.processes import started
from cockpit.runs.jsonl_tail import JsonlTail
from cockpit.runs.progress import RunProgress, RunVerdict
from cockpit.runs.verdict_card import VerdictCard
from cockpit.ui.panel_or_text import Panel
from loadtest.load.locust_launcher import environment
from loadtest.measure.metrics import headlines
from loadtest.plan.run_spec import RunSpec
from loadtest.target.processes import ServiceFailed, WatchedCommand

POLL_TIME = 0.2  # seconds
WARM_UP = 2.0  # seconds
SPAWN_SECONDS = 2.0  # within which all players connect
LOG = Path(str(loadtest.__file__)).with_name("data") / "quiz_night.csv"
REPLAY_SPEED = 60.0


def shown_spec(
    players: int = 200,
    rate: float = 40.0,
    duration: float = 20.0,
    scenario: str = "steady",
    gates: tuple[str, ...] = (),
) -> RunSpec:
    """Return the spec of a run to watch live: a short warm-up, and for a replay the kit's own log at 60 times its pace.

    `rate` is updates a second of all together, `duration` measured seconds. Raises ValueError for an unknown scenario.
    """
    spec = RunSpec(
        scenario=scenario, players=players, rate=rate, duration=duration, gates=gates, warm_up=WARM_UP,
        spawn_rate=max(players / SPAWN_SECONDS, 50.0),
    )  # fmt: skip
    if scenario != "replay":
        return spec
    return replace(spec, players=None, duration=None, log=str(LOG), speed=REPLAY_SPEED).completed()


class OwnedCommand(WatchedCommand):
    """A command of this Python that finds the kit's packages and ends with this process, however this process ends.

    Raises `ServiceFailed` when it does not start.
    """

    def __init__(self, name: str, *arguments: str) -> None:
        super().__init__(name, [sys.executable, *arguments], environment=environment())


class LoadRun:
    """A running load test. `await swarm.done()` waits for the verdict, `await swarm.stop()` asks it to stop early.

    `progress` is what it has measured so far; `on_change` is called when that has grown.
    """

    def __init__(self, child: OwnedCommand, spec: RunSpec) -> None:
        self.spec = spec
        self.path = out = Path(spec.out)
        self.progress = RunProgress()
        self.on_change: Callable[[], None] = lambda: None
        self._child = child
        self._tail = JsonlTail(out)
        self._stop_asked = False
        self._over = asyncio.Event()
        atexit.register(child.stop)

    @classmethod
    async def start(cls, spec: RunSpec) -> Self:
        """Send the players to the services that `spec` names; the run is written to its `out`."""
        child = await started(lambda: OwnedCommand("the swarm", "-m", "loadtest", "run", *spec.to_options()))
        return cls(child, spec)

    @property
    def running(self) -> bool:
        """Whether its processes still run."""
        return self._child.alive

    @property
    def pid(self) -> int:
        """The process id of `python -m loadtest`."""
        return self._child.pid

    @property
    def verdict(self) -> RunVerdict | None:
        """The verdict; None before there is one."""
        return self.progress.verdict

    async def follow(self) -> None:
        """Read what it writes until it ends. Raises `ServiceFailed` if it ends by itself without a verdict."""
        try:
            while True:
                ended = not self._child.alive
                if lines := self._tail.lines():
                    for line in lines:
                        self.progress.take(line)
                    self.on_change()
                if ended:
                    break
                await asyncio.sleep(POLL_TIME)
            await asyncio.to_thread(self._child.stop)
            if self.verdict is None and not self._stop_asked:
                last = "\n".join(self._child.log[-5:])
                raise ServiceFailed(f"the swarm ended with status {self._child.process.returncode}\n{last}")
        finally:
            self._over.set()
            self.on_change()

    async def done(self) -> Self:
        """Wait until it has ended, and return it."""
        await self._over.wait()
        return self

    async def stop(self) -> None:
        """Ask the run to stop early and wait: it drains and judges what it has measured, as INVALID."""
        self._stop_asked = True
        self._child.interrupt()
        await self._over.wait()

    async def close(self) -> None:
        """End its processes now, without a verdict; a second call does nothing."""
        self._stop_asked = True
        await asyncio.to_thread(self._child.stop)
        atexit.unregister(self._child.stop)

    def panel(self) -> Panel:
        """Return a small widget that shows its status while it runs."""
        shown = VerdictCard()

        def draw() -> None:
            shown.draw(self.progress, (), running=self.running)

        self.on_change = draw
        draw()
        return Panel([shown.widget], self.__repr__)

    def __repr__(self) -> str:
        """The run and its status as text."""
        spec = self.spec
        what = f"{spec.scenario}, {spec.players} players, {spec.rate or 0:g} updates/s"
        return f"{what}: {status_lines(self.progress)}" + ("" if self.running else f"\n{self.path}")


def file_for(folder: Path, scenario: str, label: str) -> Path:
    """Return a file in `folder` for a run that begins now; `results` groups runs by `label`, which is in its name."""
    return folder / f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{scenario}-{label}.jsonl"


def status_lines(progress: RunProgress) -> str:
    """Return the status of a run in one line, with the reasons of its verdict below."""
    if progress.verdict is not None:
        verdict = progress.verdict
        figures = "; ".join(headlines(verdict.metrics, verdict.lower))
        outside = () if progress.outside is None else progress.outside.lines
        return "\n".join([f"{verdict.name} – {figures}", *(f"  {text}" for text in (*verdict.reasons, *outside))])
    if (last := progress.last) is None:
        return "connecting"
    late = "" if last.p99 is None else f", p50 {last.p50:.1f} p99 {last.p99:.1f} ms"
    return f"{last.phase}, {last.players} connected, {last.pairs} pairs/s{late}"
