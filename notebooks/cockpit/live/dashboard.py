"""What the notebook shows of the session: the status strip, the charts, the card of Redis, and the time slider."""

from __future__ import annotations

import time
from collections.abc import Callable

import ipywidgets as widgets

from cockpit.live.charts import BoardChart, LatencyChart, LiveChart, RateChart
from cockpit.live.live_state import LiveState, View
from cockpit.live.redis_card import RedisCard
from cockpit.live.status_strip import StatusStrip
from cockpit.live.time_slider import TimeSlider
from cockpit.ui.tasks import Tasks


class Dashboard:
    """The widgets that draw a `View`. The charts show the instant that the slider is at, the rest shows now.

    `now` is the charts' clock, `changed` asks for a draw. The status, and the charts whose points are whole
    seconds, are drawn at most every `timeline_time` seconds.
    """

    def __init__(
        self,
        storage: str,
        redis_card: RedisCard | None,
        now: Callable[[], float],
        changed: Callable[[], None],
        tasks: Tasks,
        timeline_time: float,
    ) -> None:
        self.status = StatusStrip("Redis" if storage == "redis" else storage)
        self.board = BoardChart()
        self.timelines: tuple[LiveChart, ...] = (RateChart(), LatencyChart())
        self.redis_card = redis_card
        self.time_slider = TimeSlider(now, self._moved, tasks)
        self._changed = changed
        self._timeline_time = timeline_time
        self._timelines_at = 0.0

    def charts(self) -> widgets.HBox:
        """Return the charts side by side."""
        return widgets.HBox([chart.widget for chart in (self.board, *self.timelines)], layout={"grid_gap": "12px"})

    def draw(self, state: LiveState, view: View) -> bool:
        """Show `view`, the last minute of `state`; return whether the status and the timelines were due too."""
        shown = view if (at := self.time_slider.at) is None else state.past(at)
        self.board.draw(shown)
        if self.redis_card is not None:
            self.redis_card.draw(view)
        if (now := time.monotonic()) - self._timelines_at < self._timeline_time:
            return False
        self._timelines_at = now
        for chart in self.timelines:
            chart.draw(shown)
        self.status.draw(view)
        return True

    def disable(self) -> None:
        """Take the button of Redis away."""
        if self.redis_card is not None:
            self.redis_card.disable()

    def close(self, view: View) -> None:
        """Show the last board of `view`, and that the demo has stopped."""
        self.board.draw(view)
        self.status.show_stopped()

    def _moved(self) -> None:
        self._timelines_at = 0.0  # a moved slider shows at once
        self._changed()
