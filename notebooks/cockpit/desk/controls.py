"""The controls of the swarm desk: what shall be played, where, and what is done to it meanwhile.

Law of the file: as in `controls`, a widget calls one function of the desk, through `Tasks`.
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


class Desk(Protocol):
    """What the controls can do."""

    async def begin(self, spec: RunSpec, setting: Setting) -> None:
        """Start a swarm."""

    async def seek_knee(self, spec: RunSpec, setting: Setting, gate: str) -> None:
        """Find the most players with whom the gate holds."""

    async def end(self) -> None:
        """Stop the swarm early, or the search."""

    async def switch_redis(self) -> None:
        """Stop Redis, or start it again."""

    async def freeze(self) -> None:
        """Let the service stand still for a second."""

    async def kill_worker(self) -> None:
        """Kill a worker."""

    async def stall_readers(self) -> None:
        """Let 5 % more readers stop reading."""

    async def open_locust(self) -> None:
        """Start Locust's own web UI."""

    async def stop(self) -> None:
        """Stop everything."""


class DeskControls:
    """Sliders and buttons. `show` sets what can be pressed."""

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
        self.redis = _button("Stop Redis", "database")
        self.freeze = _button("Freeze 1 s", "pause")
        self.kill = _button("Kill a worker", "bolt")
        self.stall = _button("Stall 5 %", "hourglass-half")
        self.stall.tooltip = "one reader more for each twenty players joins and stops reading"
        self.locust = _button("Locust's web UI", "external-link")
        self.link = widgets.HTML()
        self.off = _button("Stop everything", "power-off", "danger")

        def on(button: widgets.Button, work: Callable[[], Coroutine[Any, Any, None]], what: str) -> None:
            button.on_click(lambda _: tasks.begin(work, what))

        on(self.start, lambda: desk.begin(self.spec, self.setting), "starting the swarm")
        on(self.knee, lambda: desk.seek_knee(self.spec, self.setting, self.gate), "finding the knee")
        on(self.stop, desk.end, "stopping the swarm")
        on(self.redis, desk.switch_redis, "switching Redis")
        on(self.freeze, desk.freeze, "freezing the service")
        on(self.kill, desk.kill_worker, "killing a worker")
        on(self.stall, desk.stall_readers, "stalling readers")
        on(self.locust, desk.open_locust, "opening Locust's web UI")
        on(self.off, desk.stop, "stopping everything")
        self.widget = self._arrange()
        self.show(running=False, redis=None, workers=1)

    @property
    def spec(self) -> RunSpec:
        """What the sliders ask for."""
        return shown_spec(self.players.value, float(self.rate.value), float(self.duration.value), self.scenario.value)

    @property
    def gate(self) -> str:
        """What the knee is searched under."""
        return f"latency_p99<{self.bound.value}ms"

    @property
    def setting(self) -> Setting:
        """How the service shall run."""
        return Setting(self.storage.value, self.workers.value)

    def show(self, *, running: bool, redis: bool | None, workers: int) -> None:
        """What can be pressed: `redis` is whether it runs, None without one."""
        sliders = (self.players, self.rate, self.duration, self.bound)
        for widget in (self.start, self.knee, *sliders, self.scenario, self.workers, self.storage):
            widget.disabled = running
        for button in (self.stop, self.freeze, self.stall, self.redis, self.kill):
            button.disabled = not running
        self.redis.disabled |= redis is None
        self.redis.description = "Start Redis" if redis is False else "Stop Redis"
        self.kill.disabled |= workers < 2

    def show_locust(self, address: str | None) -> None:
        """Link to Locust's web UI at `address`; None while it starts."""
        if address is None:
            self.link.value = '<div class="cockpit-words" style="min-height:0">starting …</div>'
        else:
            link = f'<a href="{address}" target="_blank">{address}</a>'
            self.link.value = f'<div class="cockpit-strip"><span>{link}</span></div>'

    def disable(self) -> None:
        """Nothing can be done any more: everything was stopped."""
        self.show(running=True, redis=None, workers=1)
        for button in (self.stop, self.freeze, self.stall, self.locust, self.off):
            button.disabled = True
        self.link.value = ""

    def _need_redis(self) -> None:
        if self.workers.value > 1:
            self.storage.value = "redis"

    def _need_one_worker(self) -> None:
        if self.storage.value == "memory":
            self.workers.value = 1

    def _arrange(self) -> widgets.VBox:
        two = {"grid_template_columns": "1fr 1fr", "grid_gap": "6px"}
        faults = widgets.GridBox([self.redis, self.freeze, self.kill, self.stall], layout=two)
        return widgets.VBox(
            [
                card("Swarm", self.players, self.rate, self.duration, self.scenario),
                card("Service", self.storage, self.workers),
                widgets.GridBox([self.start, self.stop], layout=two),
                card("Knee", self.bound, self.knee),
                card("Faults", faults),
                card("Locust", self.locust, self.link),
                self.off,
            ],
            layout={"flex": "1 1 0", "min_width": "340px", "grid_gap": "8px"},
        )


def _slider(value: int, low: int, high: int, step: int, name: str) -> widgets.IntSlider:
    slider = widgets.IntSlider(value, low, high, step, description=name, continuous_update=False)
    slider.layout.width = "auto"
    return slider


def _button(text: str, icon: str, style: str = "") -> widgets.Button:
    return widgets.Button(description=text, icon=icon, button_style=style, layout={"width": "auto"})
