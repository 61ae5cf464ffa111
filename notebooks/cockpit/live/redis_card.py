"""The card of the demo's Redis: a button to stop and start it, whether it runs, and what an outage did."""

from __future__ import annotations

import ipywidgets as widgets

from cockpit.live.live_state import View
from cockpit.live.outage_record import Outage
from cockpit.live.redis_switch import RedisSwitch
from cockpit.ui.plurals import noun
from cockpit.ui.tasks import Tasks
from cockpit.ui.theme import GREEN, VERMILLION, card, status_light

DEGRADED = "degraded: scores only in this process"
RULE = "It keeps nothing on disk: stopped, it comes back empty, and the service puts everything back."


class RedisCard:
    """A button that toggles `switch`, and what is known of the last outage."""

    def __init__(self, switch: RedisSwitch, tasks: Tasks) -> None:
        self._switch = switch
        self._disabled = False
        self._state = widgets.HTML(layout={"flex": "1 1 0", "min_width": "0"})
        self.words = widgets.HTML()
        self.button = widgets.Button(layout={"width": "auto"})
        self.button.on_click(lambda _: tasks.begin(self._pressed, "switching Redis"))
        row = widgets.HBox([self._state, self.button], layout={"align_items": "center"})
        self.widget = card("Redis", row, self.words)

    def draw(self, view: View) -> None:
        """Show `view`, and whether Redis runs; the same words are not sent again."""
        runs = self._switch.on
        self.button.description = "Stop Redis" if runs else "Start Redis"
        self.button.icon = "stop" if runs else "play"
        self.button.button_style = "warning" if runs else "success"
        degraded = view.board.degraded
        color, text = (VERMILLION, DEGRADED) if degraded else (GREEN, "Redis")
        self._state.value = f'<div class="cockpit-state">{status_light(color)}<span>{text}</span></div>'
        lines = [RULE, *outage_lines(view.outage)]
        self.words.value = f'<div class="cockpit-words">{"<br>".join(lines)}</div>'

    def disable(self) -> None:
        """Disable the button: everything was stopped."""
        self._disabled = self.button.disabled = True

    async def _pressed(self) -> None:
        self.button.disabled = True
        try:
            await self._switch.toggle()
        finally:
            self.button.disabled = self._disabled


def outage_lines(outage: Outage) -> list[str]:
    """What happened, one sentence a line; none without an outage."""
    moments = []
    if outage.noticed_after is not None:
        moments.append(f"noticed after <b>{outage.noticed_after:.2f} s</b>")
    elif outage.noticed_at is not None:
        moments.append("it went away by itself")
    if outage.whole_after is not None:
        moments.append(f"whole again after <b>{outage.whole_after:.2f} s</b>")
    elif outage.whole_at is not None:
        moments.append("it came back by itself")
    lines = [", ".join(moments)] if moments else []
    if outage.alone:
        lines.append(
            f"<b>{outage.alone}</b> {noun(outage.alone, 'score')} answered <i>durable: false</i>, "
            f"<b>{outage.confirmed}</b> made durable since"
        )
    return lines
