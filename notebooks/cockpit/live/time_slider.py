"""The slider that takes the charts back within the last ten minutes, and the way back to LIVE."""

from __future__ import annotations

import time
from collections.abc import Callable

import ipywidgets as widgets

from cockpit.live.live_state import SECONDS_KEPT
from cockpit.ui.tasks import Tasks
from cockpit.ui.theme import GREEN, GREY, card, status_light


class TimeSlider:
    """A slider over the last ten minutes. `now` returns the time of the charts; `moved` is called after a move."""

    def __init__(self, now: Callable[[], float], moved: Callable[[], None], tasks: Tasks) -> None:
        self._now = now
        self._moved = moved
        self._at: float | None = None
        self.slider = widgets.IntSlider(0, -SECONDS_KEPT, 0, 1, readout=False, layout={"flex": "1 1 0"})
        self.slider.observe(lambda _: tasks.call(self._go, "rewinding"), "value")
        self.live = widgets.Button(description="LIVE", icon="forward", layout={"width": "auto"}, disabled=True)
        self.live.on_click(lambda _: tasks.call(self.back_to_live, "going back to live"))
        self._words = widgets.HTML(layout={"width": "250px"})
        row = widgets.HBox([self.slider, self._words, self.live], layout={"align_items": "center", "grid_gap": "8px"})
        self.widget = card("Rewind", row)
        self._show()

    @property
    def at(self) -> float | None:
        """The instant that is shown, in seconds of the charts' clock; None is LIVE."""
        return self._at

    def go_to(self, seconds_ago: int) -> None:
        """Show the charts as of `seconds_ago`; 0 is LIVE."""
        self.slider.value = -seconds_ago

    def back_to_live(self) -> None:
        """Show the charts as of now."""
        self.slider.value = 0

    def _go(self) -> None:
        back = self.slider.value
        self._at = None if back == 0 else self._now() + back
        self._show()
        self._moved()

    def _show(self) -> None:
        self.live.disabled = self._at is None
        if self._at is None:
            text = f"{status_light(GREEN)}LIVE"
        else:
            clock = time.strftime("%H:%M:%S", time.localtime(self._at))
            text = f"{status_light(GREY)}as it was at {clock}, {-self.slider.value} s back"
        self._words.value = f'<div class="cockpit-state" style="min-height:0">{text}</div>'
