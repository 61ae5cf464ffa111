"""The swarm desk as one object: a service of its own for each swarm, what it measures, and what is done to it."""

from __future__ import annotations

import asyncio
import contextlib
import html
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import ipywidgets as widgets

from cockpit.desk.charts import Cpu, Distribution, HeatMap, Percentiles, ReachAndSkew, RunChart
from cockpit.desk.controls import MOST_PLAYERS, DeskControls
from cockpit.desk.knee_chart import KneeChart
from cockpit.desk.knee_trials import KneeTrials
from cockpit.desk.service_under_test import MOST_STALLED, ServiceUnderTest, Setting, stalled
from cockpit.host.processes import started
from cockpit.runs.faults import Fault, FaultKind, Faults
from cockpit.runs.load_run import LoadRun, OwnedCommand, file_for, shown_spec
from cockpit.runs.progress import RunProgress
from cockpit.runs.verdict_card import VerdictCard
from cockpit.ui.panel import Panel
from cockpit.ui.plurals import noun
from cockpit.ui.tasks import Tasks
from cockpit.ui.troubles import Troubles
from loadtest.judge.gates import DEFAULT_GATES
from loadtest.judge.knee_search import Search
from loadtest.judge.outside_faults import judge_outside_faults
from loadtest.load.locust_process import LOCUSTFILE
from loadtest.plan.run_spec import DEFAULT_DURATION, DEFAULT_PLAYERS, DEFAULT_RATE, RunSpec
from loadtest.plan.scenarios import MOST_UPDATES, default_gates
from loadtest.report.html import page
from loadtest.report.run_file import read
from loadtest.target.ports import free_port, is_served
from loadtest.target.processes import ServiceFailed

FRAME_TIME = 0.25  # seconds between two renders
LOOK_EVERY = 0.1  # seconds between two looks at a service that something was done to
STALLED_FOR = 20.0  # seconds at most; the service ends them after five
ONE_IN = 20  # of the players, as many as stall
UI_WITHIN = 20.0  # seconds
KNEE_SECONDS = 5.0  # at most, of each run of a search that a button began

_running: SwarmDesk | None = None


class SwarmDesk:
    """A desk from which swarms are sent. `await SwarmDesk.start()` is the way to get one.

    Each swarm gets a fresh service, over memory or a Redis of its own; both end with the swarm. The
    runs are kept as `run.jsonl` files, and as pages to read, in `folder`. There is one desk at a
    time: starting another closes the earlier one.

    >>> desk = await SwarmDesk.start()
    >>> desk.panel()
    >>> await desk.run(players=200, rate=40, duration=20)
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.swarm: LoadRun | None = None
        self.ascent: KneeTrials | None = None
        self.target: ServiceUnderTest | None = None
        self.locust: OwnedCommand | None = None
        self._faults = Faults()
        self._troubles = Troubles()
        self._tasks = Tasks(self._troubles.report)
        self._troubles.button.on_click(lambda _: self._tasks.call(self._troubles.dismiss, "dismissing"))
        self._controls = DeskControls(self, self._tasks)
        self._lamp = VerdictCard()
        self._files = widgets.HTML()
        self._charts: tuple[RunChart, ...] = (Percentiles(), HeatMap(), Distribution(), ReachAndSkew(), Cpu())
        self._ascent_chart = KneeChart()
        self._panel: Panel | None = None
        self._changed = asyncio.Event()
        self._ending = False
        self._sending = asyncio.Lock()
        self._busy = False
        self._stopped = False

    @classmethod
    async def start(cls, folder: str | Path = "runs") -> Self:
        """Open a desk whose runs are written to `folder`; nothing runs yet."""
        global _running  # noqa: PLW0603 - one desk per kernel, so that a cell can be run again
        if _running is not None:
            await _running.stop()
        desk = cls(Path(folder))
        desk._tasks.start(desk._draw(), "drawing")
        _running = desk
        return desk

    @property
    def troubles(self) -> list[str]:
        """What failed in the background, in words, oldest first."""
        return self._troubles.texts

    @property
    def course(self) -> RunProgress | None:
        """What the present swarm, or the last one, has shown."""
        return None if self.swarm is None else self.swarm.course

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What was done to the service of the present swarm, or the last one."""
        return self._faults.all

    def panel(self) -> Panel:
        """The controls, the verdict and the live charts as one widget."""
        if self._panel is None:
            gap = {"grid_gap": "12px"}
            percentiles, heat, distribution, reach, cpu = (chart.widget for chart in self._charts)
            right = widgets.VBox(
                [self._lamp.widget, widgets.HBox([percentiles, heat], layout=gap), self._files],
                layout={"flex": "2.4 1 0", "min_width": "0", "grid_gap": "8px"},
            )
            top = widgets.HBox([self._controls.widget, right], layout=gap)
            below = widgets.HBox([distribution, reach, cpu], layout=gap)
            self._panel = Panel([self._troubles.widget, top, below, self._ascent_chart.widget], self.__repr__)
            self._changed.set()
        return self._panel

    async def run(
        self,
        players: int = 200,
        rate: float = 40.0,
        duration: float = 20.0,
        *,
        scenario: str = "steady",
        storage: str = "memory",
        workers: int = 1,
        tick_ms: float = 50.0,
        gates: tuple[str, ...] = (),
    ) -> Path:
        """Send a swarm, wait for its verdict, and return the file of the run.

        `rate` is scores a second of all players together, `duration` the measured seconds. Raises
        `ValueError` for what cannot be played, `processes.ServiceFailed`.
        """
        spec = shown_spec(players, rate, duration, scenario, gates)
        swarm = await self._send(spec, Setting(storage, workers, tick_ms))
        return swarm.path

    async def find_knee(
        self,
        least: int = 50,
        most: int = MOST_PLAYERS,
        rate: float = 40.0,
        duration: float = KNEE_SECONDS,
        *,
        gates: tuple[str, ...] = (),
        scenario: str = "steady",
        storage: str = "memory",
        workers: int = 1,
        tick_ms: float = 50.0,
        resolution: float = 0.2,
        confidence: float = 0.75,
        trials: int = 16,
    ) -> KneeTrials:
        """Find the most players with whom all gates hold, as `python -m loadtest ramp` does; the panel draws it.

        Each number from `least` up is a run of `duration` seconds against a fresh service, at the same `rate`
        of all together, or at what so few can send. `knee_search.Search` has `resolution`, `confidence` and
        `trials`; they are set for a show, not for a figure to rely on. `end` stops it, with what is known.
        Without `gates` they are those of the scenario.

        >>> await desk.find_knee(gates=("latency_p99<60ms", "lost==0"))

        Raises as `run` does, and `ValueError` without a gate like `latency_p99<100ms`.
        """
        if scenario == "replay":
            raise ValueError("a replay has the players of its log: expected another scenario, got replay")
        gates = gates or default_gates(scenario)
        ascent = KneeTrials(gates, Search(least, most, resolution, confidence, trials))
        setting = Setting(storage, workers, tick_ms)
        async with self._turn():
            self.ascent = ascent
            try:
                while not self._ending and (players := ascent.next()) is not None:
                    swarm = await self._play(
                        shown_spec(players, min(rate, players * MOST_UPDATES), duration, scenario, gates), setting
                    )
                    await self._clear()
                    # What a person has cut short says nothing about this number.
                    if swarm.verdict is not None and not self._ending:
                        ascent.take(swarm.verdict)
            finally:
                ascent.end()
        return ascent

    async def take_turns(
        self, a: Mapping[str, Any], b: Mapping[str, Any], *, rounds: int = 2, **both: Any
    ) -> list[Path]:
        """Runs under two settings in turn, A B B A …, `rounds` of each; `both` is what they share.

        >>> await desk.take_turns({"storage": "memory"}, {"storage": "redis"}, players=60, duration=3)
        """
        order = [(a, b) if number % 2 == 0 else (b, a) for number in range(rounds)]
        return [await self.run(**both, **one) for pair in order for one in pair]

    async def begin(self, spec: RunSpec, setting: Setting) -> None:
        """Send a swarm in the background, unless one is on its way."""
        if not self._busy:
            await self._send(spec, setting)

    async def seek_knee(self, spec: RunSpec, setting: Setting, gate: str) -> None:
        """Find the knee under `gate` in the background, from the spec's players up, unless a swarm is on its way."""
        if not self._busy:
            players, rate = spec.players or DEFAULT_PLAYERS, spec.rate or DEFAULT_RATE
            await self.find_knee(
                players, max(players, MOST_PLAYERS), rate, min(spec.duration or DEFAULT_DURATION, KNEE_SECONDS),
                gates=(gate, *DEFAULT_GATES), scenario=spec.scenario, storage=setting.storage, workers=setting.workers,
            )  # fmt: skip

    async def end(self) -> None:
        """Stop the swarm early, and the search that it is part of; what it measured is INVALID, as it was cut short."""
        self._ending = True
        if self.swarm is not None:
            await self.swarm.stop()

    async def switch_redis(self) -> None:
        """Stop the swarm's Redis, or start it again, empty; raises `RuntimeError` where there is none."""
        target = self._hurt()
        if target.redis is None:
            raise RuntimeError("this swarm plays in memory: choose Redis before it starts")
        if target.redis.alive:
            self._begin_fault("Redis stopped", FaultKind.REDIS_STOPPED)
            await target.redis.switch_off()
        else:
            self._mark("Redis started")
            await target.redis.switch_on()
            self._faults.mend(FaultKind.REDIS_STOPPED, time.time())
        self._changed.set()

    async def freeze(self) -> None:
        """Let the service stand still for a second."""
        target = self._hurt()
        self._begin_fault("service frozen for 1 s", FaultKind.SERVICE_FROZEN)
        try:
            await target.freeze()
        finally:
            self._faults.mend(FaultKind.SERVICE_FROZEN, time.time())

    async def kill_worker(self) -> None:
        """Kill one of several workers with SIGKILL; its supervisor starts another."""
        self._hurt().kill_worker()
        self._begin_fault("a worker killed")

    async def stall_readers(self) -> None:
        """Let one reader more for each twenty players join and stop reading, until the service ends them."""
        target, swarm = self._hurt(), self.swarm
        if swarm is None or "session" not in swarm.course.facts:
            raise RuntimeError("the players are still coming: wait until the swarm has begun")
        count = min(max((swarm.spec.players or 0) // ONE_IN, 1), MOST_STALLED)
        fault = Fault(f"{count} {noun(count, 'reader')} stalled", time.time())
        async with stalled(target.service.ws_url, swarm.course.facts["session"], count) as connected:
            self._faults.add(fault)
            self._mark(fault.name, fault.at)
            ends = time.monotonic() + STALLED_FOR
            while (left := connected()) and time.monotonic() < ends and self._busy:
                if left < count and fault.detected_at is None:
                    fault.detected_at, fault.seen_as = time.time(), "the service ended the first of them"
                    self._changed.set()
                await asyncio.sleep(LOOK_EVERY)
            if not left and fault.detected_at is None:
                fault.detected_at, fault.seen_as = time.time(), "the service ended them"
            fault.mended_at, fault.recovered_at = fault.at, time.time()
        self._changed.set()

    async def open_locust(self) -> None:
        """Start Locust's own web UI beside the service of the swarm, and show the link to it."""
        if self.locust is None or not self.locust.alive:
            port = free_port()
            address = f"http://127.0.0.1:{port}"
            host = ("--host", self.target.service.url) if self.target is not None else ()
            where = ("--web-host", "127.0.0.1", "--web-port", str(port))
            arguments = ("-m", "locust", "-f", str(LOCUSTFILE), *where, *host)
            self._controls.show_locust(None)
            self.locust = await started(lambda: OwnedCommand("Locust", *arguments))
            async with asyncio.timeout(UI_WITHIN):
                while not is_served(port):
                    if not self.locust.alive:
                        raise ServiceFailed("Locust ended:\n" + "\n".join(self.locust.log[-5:]))
                    await asyncio.sleep(LOOK_EVERY)
            self._controls.show_locust(address)

    async def stop(self) -> None:
        """Stop everything: swarm, service, Redis, Locust's web UI. The second time does nothing."""
        global _running  # noqa: PLW0603
        if self._stopped:
            return
        self._stopped = self._ending = True
        if _running is self:
            _running = None
        self._controls.disable()
        await self._tasks.cancel()
        await self._clear()
        if self.locust is not None:
            await asyncio.to_thread(self.locust.stop)
        self._render()

    def __repr__(self) -> str:
        """How the desk stands, as text."""
        lines = ["no swarm yet" if self.swarm is None else repr(self.swarm)]
        if self.ascent is not None:
            lines.append(repr(self.ascent))
        return "\n".join([*lines, *(str(fault) for fault in self.faults), *self.troubles])

    async def _send(self, spec: RunSpec, setting: Setting) -> LoadRun:
        async with self._turn():
            return await self._play(spec, setting)

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait until nothing plays; within it swarms may be played, one after the other, and none is left behind."""
        async with self._sending:
            if self._stopped:
                raise RuntimeError("the desk was stopped: run its first cell again")
            self._busy, self._ending = True, False
            try:
                yield
            finally:
                await self._clear()
                self._busy = False
                self._changed.set()

    async def _play(self, spec: RunSpec, setting: Setting) -> LoadRun:
        """Start a service, send the swarm to it, and follow it to its end."""
        self._faults = Faults()
        self.swarm = None
        self._changed.set()
        self.target = await ServiceUnderTest.start(setting, spec)
        out = file_for(self.folder, spec.scenario, setting.label)
        service = self.target.service
        self.swarm = swarm = await LoadRun.start(
            replace(spec, urls=(service.url,), service_pid=service.pid, out=str(out))
        )
        swarm.on_change = self._changed.set
        if self._ending:  # asked for while there was no swarm yet
            self._tasks.start(swarm.stop(), "stopping the swarm")
        looking = self._tasks.start(self._look(self.target), "looking at the service")
        try:
            await swarm.follow()
        finally:
            looking.cancel()
        if swarm.verdict is not None:
            self._write_down(swarm)
        return swarm

    async def _clear(self) -> None:
        """End what a swarm has left running."""
        if self.swarm is not None:
            await self.swarm.end()
        target, self.target = self.target, None
        if target is not None:
            await target.stop()

    async def _look(self, target: ServiceUnderTest) -> None:
        """Look at the service, often, while something that was done to it is not over."""
        while True:
            if self._faults.open:
                wrong = await target.wrong()
                self._faults.look(time.time(), wrong)
                self._changed.set()
            await asyncio.sleep(LOOK_EVERY)

    def _hurt(self) -> ServiceUnderTest:
        if self.target is None or not self._busy:
            raise RuntimeError("no swarm plays: start one first")
        return self.target

    def _begin_fault(self, name: str, kind: FaultKind | None = None) -> None:
        self._mark(name, self._faults.begin(name, time.time(), kind=kind).at)

    def _mark(self, text: str, at: float | None = None) -> None:
        if self.swarm is not None:
            self.swarm.course.mark(time.time() if at is None else at, text)
        self._changed.set()

    def _write_down(self, swarm: LoadRun) -> None:
        """Put into the file of the run what was done here, before its verdict, and draw its page anew."""
        # A course keeps its last few marks; a fault that is missing in the file would count against the service.
        until: dict[tuple[float, str], dict[str, float | None]] = {mark: {} for mark in swarm.course.marks}
        until |= {(fault.at, fault.name): {"until": fault.recovered_at} for fault in self.faults}
        own = [{"kind": "mark", "at": round(at, 3), "text": text, **end} for (at, text), end in sorted(until.items())]
        lines = read(swarm.path)
        known = {(line["at"], line["text"]) for line in lines if line["kind"] == "mark"}
        new = [mark for mark in own if (mark["at"], mark["text"]) not in known]
        if new:
            lines[-1:-1] = new
            text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
            swarm.path.write_text(text, "utf-8")
            swarm.path.with_suffix(".html").write_text(page(lines), "utf-8")
            swarm.course.outside = judge_outside_faults(lines)
            self._changed.set()

    async def _draw(self) -> None:
        """Render the latest, at most four times a second."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._panel is not None:
                self._render()
            await asyncio.sleep(FRAME_TIME)

    def _render(self) -> None:
        if not self._stopped:
            redis = None if self.target is None or self.target.redis is None else self.target.redis.alive
            workers = 1 if self.target is None else self.target.setting.workers
            self._controls.show(running=self._busy, redis=redis, workers=workers)
        course = self.course
        starting = course if course is not None or not self._busy else RunProgress()
        self._lamp.draw(starting, self.faults, running=self._busy)
        if course is not None:
            for chart in self._charts:
                chart.draw(course)
        if self.ascent is not None:
            self._ascent_chart.draw(self.ascent, course)
        if self.swarm is not None and not self._busy and self.swarm.verdict is not None:
            name = html.escape(str(self.swarm.path))
            self._files.value = f'<div class="cockpit-note">kept in <code>{name}</code>, and beside it as a page</div>'
