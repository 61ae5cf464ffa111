"""The presenter's controls, grouped by task: player, points, board, bots.

Law of the file: a widget calls one function of `Actions`, through `Tasks` and so on the demo's loop
whatever thread the click came on, and knows nothing of sockets. The owner of the tasks shows what
fails.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Protocol

import ipywidgets as widgets

from cockpit.live.bots import MOST_PER_PLAYER, MOST_PLAYERS
from cockpit.ui.tasks import Tasks
from cockpit.ui.theme import card

POINTS = (10, 25, 50, 100)
WATCH = ("– only watch –", "")  # None would show as an empty box


class Actions(Protocol):
    """What the controls call."""

    async def play_as(self, user: str | None) -> None:
        """Join as `user`, or only watch."""

    async def score(self, points: int) -> object:
        """Add points to the notebook's own player."""

    async def populate(self) -> None:
        """Populate Demo Data."""

    async def reset(self) -> None:
        """Reset Leaderboard."""

    def simulate(self, players: int, rate: float) -> None:
        """Let simulated players score."""

    async def close(self) -> None:
        """Stop everything."""


class Controls:
    """Buttons and sliders, with the `cards` of other objects among them. `people` are (name, id) pairs."""

    def __init__(
        self, actions: Actions, people: Sequence[tuple[str, str]], tasks: Tasks, *cards: widgets.Widget
    ) -> None:
        self._actions = actions
        self._tasks = tasks
        self.join_as = widgets.Dropdown(options=[WATCH, *people], value="", layout={"width": "auto"})
        self.join_as.tooltip = "join as"
        self.join_as.observe(lambda _: tasks.call(self._join, "joining"), "value")
        self.points = [_button(f"+{points}", style="info") for points in POINTS]
        for points, button in zip(POINTS, self.points, strict=True):
            self._on_click(button, partial(actions.score, points), f"scoring +{points}")
        self.populate = _button("Populate Demo Data", "users")
        self._on_click(self.populate, actions.populate, "populating the board")
        self.reset = _button("Reset Leaderboard", "undo")
        self._on_click(self.reset, actions.reset, "resetting the board")
        self.players = widgets.IntSlider(25, 0, MOST_PLAYERS, 5, description="Players", continuous_update=False)
        self.rate = widgets.IntSlider(20, 0, MOST_PLAYERS, 5, description="Scores/s", continuous_update=False)
        self.bots = widgets.ToggleButton(description="Simulate players", icon="play", layout={"width": "auto"})
        self.bots_status = widgets.HTML()
        self.notices = widgets.HTML()
        for changed in (self.players, self.rate, self.bots):
            changed.observe(lambda _: tasks.call(self._simulate, "simulating players"), "value")
        self.stop_all = _button("Stop everything", "power-off", style="danger")
        self._on_click(self.stop_all, actions.close, "stopping everything")
        # The last values sent to the actions, or shown for them: a widget set to such a value calls no action.
        self._user: str | None = None
        self._bots = self._asked_bots()
        self.widget = self._arrange(cards)

    def show_user(self, user: str | None) -> None:
        """Show `user` as the notebook's own player, without an action."""
        self._user = user
        self.join_as.value = user or ""
        for button in self.points:
            button.disabled = user is None

    def show_bots(self, players: int, rate: float) -> None:
        """Show that `players` bots score `rate` times a second together, without an action."""
        self.bots.value = players > 0
        if players:
            self.players.value, self.rate.value = players, round(rate)
        self.bots.description = "Stop simulated players" if players else "Simulate players"
        self.bots.icon = "stop" if players else "play"
        self._bots = self._asked_bots()

    def show_progress(self, bots: str, notices: Sequence[str]) -> None:
        """Show the status of the bots, in words, and the notices, the first one on top."""
        self.bots_status.value = bots
        self.notices.value = "<br>".join(html.escape(notice) for notice in notices)

    def disable(self) -> None:
        """Disable every control: everything was stopped."""
        for widget in (self.join_as, *self.points, self.populate, self.reset, self.players, self.rate, self.bots):
            widget.disabled = True
        self.stop_all.disabled = True

    def _on_click(self, button: widgets.Button, work: Callable[[], Coroutine[Any, Any, Any]], what: str) -> None:
        button.on_click(lambda _: self._tasks.begin(work, what))

    def _join(self) -> None:
        user = self.join_as.value or None
        if user != self._user:
            self._user = user
            self._tasks.start(self._actions.play_as(user), "joining")

    def _simulate(self) -> None:
        asked = self._asked_bots()
        if asked != self._bots:
            self._actions.simulate(*asked)

    def _asked_bots(self) -> tuple[int, float]:
        players = self.players.value if self.bots.value else 0
        return players, min(self.rate.value, players * MOST_PER_PLAYER)

    def _arrange(self, cards: Sequence[widgets.Widget]) -> widgets.VBox:
        points = widgets.GridBox(self.points, layout={"grid_template_columns": "repeat(4, 1fr)", "grid_gap": "6px"})
        points.add_class("cockpit-points")
        for slider in (self.players, self.rate):
            slider.layout.width = "auto"
            slider.style.description_width = "64px"
        show = widgets.GridBox(
            [self.populate, self.reset],
            # Side by side only where both labels fit.
            layout={"grid_template_columns": "repeat(auto-fit, minmax(165px, 1fr))", "grid_gap": "6px"},
        )
        return widgets.VBox(
            [
                card("This notebook plays as", self.join_as),
                card("Points", points),
                card("Show", show),
                card("Simulated players", self.players, self.rate, self.bots, self.bots_status),
                *cards,
                card("Notices", self.notices, flex="1 0 auto"),
                self.stop_all,
            ],
            layout={"flex": "1 1 0", "min_width": "340px", "grid_gap": "8px"},
        )


def _button(text: str, icon: str = "", style: str = "") -> widgets.Button:
    return widgets.Button(description=text, icon=icon, button_style=style, layout={"width": "auto"})
