"""The connection and the figures of the last seconds, in one strip."""

from __future__ import annotations

import html

import ipywidgets as widgets

from cockpit.live.live_state import View
from cockpit.ui.plurals import noun
from cockpit.ui.theme import GREEN, GREY, ORANGE, VERMILLION, status_light

CONNECTION_COLORS = {"live": GREEN, "connecting": ORANGE, "waiting": ORANGE, "stopped": GREY}


class StatusStrip:
    """Connection, storage, players, score changes and boards a second, latency. `storage` is its name."""

    def __init__(self, storage: str) -> None:
        self._storage = html.escape(storage)
        self.widget = widgets.HTML()

    def draw(self, view: View) -> None:
        """Show `view`; the same text is not sent again."""
        late = "–" if view.latency is None else f"{view.latency:.1f}"
        changes, boards = view.per_second(view.updates), view.per_second(view.boards)
        degraded = f' <i style="color:{VERMILLION}" title="scores only in this process">degraded</i>'
        text = (
            f"<span>{status_light(CONNECTION_COLORS[view.connection])}<b>{view.connection}</b></span>"
            f"<span>in <b>{self._storage}</b>{degraded * view.board.degraded}</span>"
            f"<span><b>{view.board.participants}</b> connected</span>"
            f"<span><b>{view.board.players}</b> on the board</span>"
            f"<span><b>{changes:.0f}</b> {noun(changes, 'score change')}/s</span>"
            f"<span><b>{boards:.0f}</b> {noun(boards, 'board')}/s</span>"
            f"<span><b>{late}</b> ms update → screen</span>"
        )
        self.widget.value = f'<div class="cockpit-strip">{text}</div>'

    def show_stopped(self) -> None:
        """Say that the demo has stopped, and what to do."""
        text = f"<span>{status_light(CONNECTION_COLORS['stopped'])}<b>stopped</b> – run the first cell again</span>"
        self.widget.value = f'<div class="cockpit-strip">{text}</div>'
