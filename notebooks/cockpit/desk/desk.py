"""The load test desk as one object: a fresh service for each run, its verdict, and the faults injected into it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import ipywidgets as widgets

from cockpit.desk.controls import MOST_PLAYERS, DeskControls
from cockpit.desk.fault_injection import FaultInjection
from cockpit.desk.fault_marks import record_faults
from cockpit.desk.knee_search_state import KneeTrials
from cockpit.desk.locust_web_ui import LocustWebUi
from cockpit.desk.run_display import RunDisplay
from cockpit.desk.service_under_test import ServiceUnderTest, Setting
from cockpit.runs.fault_timings import Fault
from cockpit.runs.load_run import LoadRun, file_for, shown_spec
from cockpit.runs.progress import RunProgress
from cockpit.ui.live_panel import LivePanel
from loadtest.judge.gates import DEFAULT_GATES
from loadtest.judge.knee_search import Search
from loadtest.plan.run_spec import DEFAULT_DURATION, DEFAULT_PLAYERS, DEFAULT_RATE, RunSpec
from loadtest.plan.scenarios import MOST_UPDATES, default_gates

KNEE_SECONDS = 5.0  # at most, of each run of a search that a button began


class SwarmDesk(LivePanel):
    """A desk from which swarms are sent. `await SwarmDesk.start()` is the way to get one.

    Each swarm gets a fresh service, over memory or a Redis of its own; both end with the swarm. The
    runs are kept as files, and as pages to read, in `folder`. There is one desk at a
    time: starting another closes the earlier one.

    >>> desk = await SwarmDesk.start()
    >>> desk.panel()
    >>> await desk.run(players=200, rate=40, duration=20)
    """

    frame_time = 0.25  # seconds between two renders

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.swarm: LoadRun | None = None
        self.knee_search: KneeTrials | None = None
        self.target: ServiceUnderTest | None = None
        self._injection: FaultInjection | None = None
        self._locust = LocustWebUi()
        self._controls = DeskControls(self, self._tasks)
        self._display = RunDisplay()
        self._turn = asyncio.Lock()  # held while a run or a search is under way
        self._stop_asked = False

    @classmethod
    async def start(cls, folder: str | Path = "runs") -> Self:
        """Open a desk whose runs are written to `folder`; nothing runs yet."""
        await cls._close_earlier()
        desk = cls(Path(folder))
        desk._begin()
        return desk

    @property
    def busy(self) -> bool:
        """Whether a swarm or a search is under way."""
        return self._turn.locked()

    @property
    def progress(self) -> RunProgress | None:
        """What the current swarm, or the last one, has shown."""
        return None if self.swarm is None else self.swarm.progress

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults of the current swarm, or the last one."""
        return () if self._injection is None else self._injection.faults

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
        """Find the most players with which all gates hold, as `python -m loadtest ramp` does; the panel draws it.

        Each number from `least` up is a run of `duration` seconds against a fresh service, at the same `rate`
        of all together, or at the most that so few can send. `knee_search.Search` has `resolution`, `confidence` and
        `trials`; their defaults suit a live show, not a figure to rely on. `stop_swarm` ends it with what is known.
        Without `gates` they are those of the scenario.

        >>> await desk.find_knee(gates=("latency_p99<60ms", "lost==0"))

        Raises as `run` does, and `ValueError` without a gate like `latency_p99<100ms`.
        """
        if scenario == "replay":
            raise ValueError("a replay has the players of its log: expected another scenario, got replay")
        gates = gates or default_gates(scenario)
        search = KneeTrials(gates, Search(least, most, resolution, confidence, trials))
        setting = Setting(storage, workers, tick_ms)
        async with self._own_turn():
            self.knee_search = search
            try:
                while not self._stop_asked and (players := search.next()) is not None:
                    swarm = await self._play(
                        shown_spec(players, min(rate, players * MOST_UPDATES), duration, scenario, gates), setting
                    )
                    await self._end_run()
                    # A run that was stopped early says nothing about this number.
                    if swarm.verdict is not None and not self._stop_asked:
                        search.take(swarm.verdict)
            finally:
                search.finish()
        return search

    async def take_turns(
        self, a: Mapping[str, Any], b: Mapping[str, Any], *, rounds: int = 2, **both: Any
    ) -> list[Path]:
        """Make runs under two settings in turn, A B B A …, `rounds` of each; `both` is what they share.

        Returns the files of the runs.

        >>> await desk.take_turns({"storage": "memory"}, {"storage": "redis"}, players=60, duration=3)
        """
        order = [(a, b) if number % 2 == 0 else (b, a) for number in range(rounds)]
        return [await self.run(**both, **one) for pair in order for one in pair]

    async def start_swarm(self, spec: RunSpec, setting: Setting) -> None:
        """Send a swarm, unless one is under way; for the button."""
        if not self.busy:
            await self._send(spec, setting)

    async def start_search(self, spec: RunSpec, setting: Setting, gate: str) -> None:
        """Find the knee under `gate`, from the spec's players up, unless a swarm is under way; for the button."""
        if not self.busy:
            players, rate = spec.players or DEFAULT_PLAYERS, spec.rate or DEFAULT_RATE
            await self.find_knee(
                players, max(players, MOST_PLAYERS), rate, min(spec.duration or DEFAULT_DURATION, KNEE_SECONDS),
                gates=(gate, *DEFAULT_GATES), scenario=spec.scenario, storage=setting.storage, workers=setting.workers,
            )  # fmt: skip

    async def stop_swarm(self) -> None:
        """Stop the swarm early, and the search that it is part of. The run is INVALID, as it was cut short."""
        self._stop_asked = True
        if self.swarm is not None:
            await self.swarm.stop()

    async def switch_redis(self) -> None:
        """Stop the swarm's Redis, or start it again, empty; raises `RuntimeError` if there is none."""
        await self._faulty().switch_redis()

    async def freeze(self) -> None:
        """Stop all processes of the service for a second."""
        await self._faulty().freeze()

    async def kill_worker(self) -> None:
        """Kill one of several workers with SIGKILL; its supervisor starts another."""
        self._faulty().kill_worker()

    async def stall_readers(self) -> None:
        """Add one reader that stops reading for each twenty players, until the service ends them."""
        injection = self._faulty()
        if self.swarm is None:
            raise RuntimeError("the players are still connecting: wait until the swarm has begun")
        await injection.stall_readers(self.swarm)

    async def open_locust(self) -> None:
        """Start Locust's own web UI beside the service of the swarm, and show the link to it."""
        if not self._locust.alive:
            self._controls.show_locust(None)
            host = None if self.target is None else self.target.service.url
            self._controls.show_locust(await self._locust.start(host))

    def __repr__(self) -> str:
        """The run, the search, the faults and the troubles as text."""
        lines = ["no swarm yet" if self.swarm is None else repr(self.swarm)]
        if self.knee_search is not None:
            lines.append(repr(self.knee_search))
        return "\n".join([*lines, *(str(fault) for fault in self.faults), *self.troubles])

    async def _send(self, spec: RunSpec, setting: Setting) -> LoadRun:
        async with self._own_turn():
            return await self._play(spec, setting)

    @contextlib.asynccontextmanager
    async def _own_turn(self) -> AsyncIterator[None]:
        """Wait for the turn; within it runs may be played, one after the other, and none is left at its end."""
        async with self._turn:
            if not self.running:
                raise RuntimeError("the desk was stopped: run its first cell again")
            self._stop_asked = False
            try:
                yield
            finally:
                await self._end_run()
                self._changed.set()

    async def _play(self, spec: RunSpec, setting: Setting) -> LoadRun:
        """Start a service, send the swarm to it, and follow it to its end."""
        spec.completed()  # raises for what cannot be played, before anything starts
        self.swarm = self._injection = None
        self._changed.set()
        self.target = await ServiceUnderTest.start(setting, spec)
        self._injection = injection = FaultInjection(self.target, self._mark, self._changed.set)
        out = file_for(self.folder, spec.scenario, setting.label)
        service = self.target.service
        self.swarm = swarm = await LoadRun.start(
            replace(spec, urls=(service.url,), service_pid=service.pid, out=str(out))
        )
        swarm.on_change = self._changed.set
        if self._stop_asked:  # while there was no swarm yet
            self._tasks.start(swarm.stop(), "stopping the swarm")
        observing = self._tasks.start(injection.observe(), "observing the service")
        try:
            await swarm.follow()
        finally:
            observing.cancel()
        if swarm.verdict is not None:
            outside = record_faults(swarm.path, swarm.progress.marks, injection.faults)
            swarm.progress.outside = outside
            self._changed.set()
        return swarm

    async def _end_run(self) -> None:
        """End what a swarm has left running."""
        if self.swarm is not None:
            await self.swarm.close()
        target, self.target = self.target, None
        if target is not None:
            await target.stop()

    def _faulty(self) -> FaultInjection:
        """Return the injection of the run under way; raises `RuntimeError` without one."""
        if self._injection is None or self.target is None:
            raise RuntimeError("no swarm plays: start one first")
        return self._injection

    def _mark(self, at: float, text: str) -> None:
        if self.swarm is not None:
            self.swarm.progress.mark(at, text)
        self._changed.set()

    def _rows(self) -> Sequence[widgets.Widget]:
        """The controls, the verdict and the live charts."""
        return [self._troubles.widget, *self._display.rows(self._controls.widget)]

    def _render(self) -> None:
        if self.running:
            redis = None if self.target is None or self.target.redis is None else self.target.redis.alive
            workers = 1 if self.target is None else self.target.setting.workers
            self._controls.show(running=self.busy, redis=redis, workers=workers)
        self._display.draw(self.swarm, self.knee_search, self.faults, busy=self.busy)

    async def _release(self) -> None:
        """End swarm, service, Redis and Locust's web UI."""
        self._stop_asked = True
        self._controls.disable()
        await self._tasks.cancel()
        await self._end_run()
        await self._locust.close()
        self._render()
