"""The controls of the desk: the run, its service, the search for the knee, and faults.

Law of the file: as in `live.controls`, a widget calls one function of the desk, through `Tasks`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import ipywidgets as widgets

from cockpit.desk.service_under_test import Setting
from cockpit.runs.load_run import shown_spec
from cockpit.ui.tasks import Tasks
from cockpit.ui.theme import card
from loadtest.plan.run_spec import RunSpec
from loadtest.plan.scenarios import SCENARIOS

MOST_PLAYERS = 2000
MOST_RATE = 1000
LONGEST = 300  # seconds
LAXEST = 500  # ms
TWO = {"grid_template_columns": "1fr 1fr", "grid_gap": "6px"}


class Desk(Protocol):
    """What the controls call."""

    async def start_swarm(self, spec: RunSpec, setting: Setting) -> None:
        """Start a swarm."""

    async def start_search(self, spec: RunSpec, setting: Setting, gate: str) -> None:
        """Find the most players with which the gate holds."""

    async def stop_swarm(self) -> None:
        """Stop the swarm early, and the search."""

    async def switch_redis(self) -> None:
        """Stop Redis, or start it again."""

    async def freeze(self) -> None:
        """Stop the processes of the service for a second."""

    async def kill_worker(self) -> None:
        """Kill a worker."""

    async def stall_readers(self) -> None:
        """Add readers that stop reading, 5 % of the players."""

    async def open_locust(self) -> None:
        """Start Locust's own web UI."""

    async def close(self) -> None:
        """Stop everything."""


class FaultButtons:
    """A button for each fault. `show` sets which can be pressed."""

    def __init__(self, desk: Desk, tasks: Tasks) -> None:
        self.redis = _button("Stop Redis", "database")
        self.freeze = _button("Freeze 1 s", "pause")
        self.kill = _button("Kill a worker", "bolt")
        self.stall = _button("Stall 5 %", "hourglass-half")
        self.stall.tooltip = "one more reader for each twenty players joins and stops reading"
        _on_click(self.redis, tasks, desk.switch_redis, "switching Redis")
        _on_click(self.freeze, tasks, desk.freeze, "freezing the service")
        _on_click(self.kill, tasks, desk.kill_worker, "killing a worker")
        _on_click(self.stall, tasks, desk.stall_readers, "stalling readers")
        self.widget = card("Faults", widgets.GridBox([self.redis, self.freeze, self.kill, self.stall], layout=TWO))

    def show(self, *, running: bool, redis: bool | None, workers: int) -> None:
        """Enable what applies: `redis` is whether Redis runs, None without one."""
        self.freeze.disabled = self.stall.disabled = not running
        self.redis.disabled = not running or redis is None
        self.redis.description = "Start Redis" if redis is False else "Stop Redis"
        self.kill.disabled = not running or workers < 2


class DeskControls:
    """Sliders and buttons. `show` sets which can be pressed."""

    def __init__(self, desk: Desk, tasks: Tasks) -> None:
        self.players = _slider(200, 10, MOST_PLAYERS, 10, "Players")
        self.rate = _slider(40, 5, MOST_RATE, 5, "Scores/s")
        self.duration = _slider(30, 5, LONGEST, 5, "Seconds")
        self.bound = _slider(100, 10, LAXEST, 10, "p99 < ms")
        self.scenario = widgets.Dropdown(options=list(SCENARIOS), description="Scenario", layout={"width": "auto"})
        self.workers = widgets.ToggleButtons(options=[1, 2, 3], description="Workers")
        self.storage = widgets.ToggleButtons(options=[("memory", "memory"), ("Redis", "redis")], description="Storage")
        for choice in (self.workers, self.storage):
            choice.style.button_width = "84px"
        for widget in (
            self.players, self.rate, self.duration, self.scenario, self.workers, self.storage, self.bound,
        ):  # fmt: skip
            widget.style.description_width = "66px"
        self.workers.observe(lambda _: tasks.call(self._need_redis, "choosing the workers"), "value")
        self.storage.observe(lambda _: tasks.call(self._need_one_worker, "choosing the storage"), "value")
        self.start = _button("Start swarm", "play", "primary")
        self.stop = _button("Stop swarm", "stop", "warning")
        self.knee = _button("Find the knee", "search")
        self.knee.tooltip = "from the number of players above up, in runs of five seconds, until this gate breaks"
        self.faults = FaultButtons(desk, tasks)
        self.locust = _button("Locust's web UI", "external-link")
        self.link = widgets.HTML()
        self.stop_all = _button("Stop everything", "power-off", "danger")
        _on_click(self.start, tasks, lambda: desk.start_swarm(self.spec, self.setting), "starting the swarm")
        _on_click(self.knee, tasks, lambda: desk.start_search(self.spec, self.setting, self.gate), "finding the knee")
        _on_click(self.stop, tasks, desk.stop_swarm, "stopping the swarm")
        _on_click(self.locust, tasks, desk.open_locust, "opening Locust's web UI")
        _on_click(self.stop_all, tasks, desk.close, "stopping everything")
        self.widget = self._arrange()
        self.show(running=False, redis=None, workers=1)

    @property
    def spec(self) -> RunSpec:
        """The run that the sliders ask for."""
        return shown_spec(self.players.value, float(self.rate.value), float(self.duration.value), self.scenario.value)

    @property
    def gate(self) -> str:
        """The gate of a search for the knee."""
        return f"latency_p99<{self.bound.value}ms"

    @property
    def setting(self) -> Setting:
        """The service that the choices ask for."""
        return Setting(self.storage.value, self.workers.value)

    def show(self, *, running: bool, redis: bool | None, workers: int) -> None:
        """Enable what applies: `redis` is whether Redis runs, None without one."""
        sliders = (self.players, self.rate, self.duration, self.bound)
        for widget in (self.start, self.knee, *sliders, self.scenario, self.workers, self.storage):
            widget.disabled = running
        self.stop.disabled = not running
        self.faults.show(running=running, redis=redis, workers=workers)

    def show_locust(self, address: str | None) -> None:
        """Link to Locust's web UI at `address`; None while it starts."""
        if address is None:
            self.link.value = '<div class="cockpit-words" style="min-height:0">starting …</div>'
        else:
            link = f'<a href="{address}" target="_blank">{address}</a>'
            self.link.value = f'<div class="cockpit-strip"><span>{link}</span></div>'

    def disable(self) -> None:
        """Disable every control: everything was stopped."""
        self.show(running=True, redis=None, workers=1)
        self.faults.show(running=False, redis=None, workers=1)
        for button in (self.stop, self.locust, self.stop_all):
            button.disabled = True
        self.link.value = ""

    def _need_redis(self) -> None:
        if self.workers.value > 1:
            self.storage.value = "redis"

    def _need_one_worker(self) -> None:
        if self.storage.value == "memory":
            self.workers.value = 1

    def _arrange(self) -> widgets.VBox:
        return widgets.VBox(
            [
                card("Swarm", self.players, self.rate, self.duration, self.scenario),
                card("Service", self.storage, self.workers),
                widgets.GridBox([self.start, self.stop], layout=TWO),
                card("Knee", self.bound, self.knee),
                self.faults.widget,
                card("Locust", self.locust, self.link),
                self.stop_all,
            ],
            layout={"flex": "1 1 0", "min_width": "340px", "grid_gap": "8px"},
        )


def _slider(value: int, low: int, high: int, step: int, name: str) -> widgets.IntSlider:
    slider = widgets.IntSlider(value, low, high, step, description=name, continuous_update=False)
    slider.layout.width = "auto"
    return slider


def _on_click(button: widgets.Button, tasks: Tasks, work: Callable[[], Coroutine[Any, Any, None]], what: str) -> None:
    button.on_click(lambda _: tasks.begin(work, what))


def _button(text: str, icon: str, style: str = "") -> widgets.Button:
    return widgets.Button(description=text, icon=icon, button_style=style, layout={"width": "auto"})
