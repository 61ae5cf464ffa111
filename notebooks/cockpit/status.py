"""What the notebook says about itself: one strip of figures, and what went wrong, in words."""

from __future__ import annotations

import html
from collections import Counter

import ipywidgets as widgets

from cockpit.look import GREEN, GREY, ORANGE, VERMILLION, lamp
from cockpit.state import View
from cockpit.words import noun

LAMPS = {"live": GREEN, "connecting": ORANGE, "waiting": ORANGE, "stopped": GREY}
TROUBLES_KEPT = 5


class StatusStrip:
    """Connection, storage, players, boards and score changes a second, latency. `storage` is the name of it."""

    def __init__(self, storage: str) -> None:
        self._storage = html.escape(storage)
        self.widget = widgets.HTML()

    def draw(self, view: View) -> None:
        """Show `view`; the same text is not sent again."""
        late = "–" if view.latency is None else f"{view.latency:.1f}"
        changes, boards = view.per_second(view.updates), view.per_second(view.boards)
        degraded = f' <i style="color:{VERMILLION}" title="scores only in this process">degraded</i>'
        text = (
            f"<span>{lamp(LAMPS[view.connection])}<b>{view.connection}</b></span>"
            f"<span>in <b>{self._storage}</b>{degraded * view.board.degraded}</span>"
            f"<span><b>{view.board.participants}</b> connected</span>"
            f"<span><b>{view.board.players}</b> on the board</span>"
            f"<span><b>{changes:.0f}</b> {noun(changes, 'score change')}/s</span>"
            f"<span><b>{boards:.0f}</b> {noun(boards, 'board')}/s</span>"
            f"<span><b>{late}</b> ms update → screen</span>"
        )
        self.widget.value = f'<div class="cockpit-strip">{text}</div>'

    def stop(self) -> None:
        """Say that there is nothing to measure any more, and what to do."""
        text = f"<span>{lamp(LAMPS['stopped'])}<b>stopped</b> – run the first cell again</span>"
        self.widget.value = f'<div class="cockpit-strip">{text}</div>'


class Troubles:
    """The failures of the background, newest last, until dismissed. Hidden without any."""

    def __init__(self) -> None:
        self._kept: Counter[str] = Counter()
        self._text = widgets.HTML(layout={"flex": "1 1 0"})
        self.button = widgets.Button(description="Dismiss", layout={"width": "auto"})
        self.widget = widgets.HBox([self._text, self.button], layout={"display": "none"})

    @property
    def texts(self) -> list[str]:
        """What is shown, oldest first."""
        return list(self._kept)

    def report(self, what: str, error: BaseException) -> None:
        """Show that `what` failed, and why. The same failure again is counted, not repeated."""
        self._kept[f"{what} failed: {type(error).__name__}: {error}"] += 1
        while len(self._kept) > TROUBLES_KEPT:
            del self._kept[next(iter(self._kept))]
        self._show()

    def dismiss(self) -> None:
        """Forget them."""
        self._kept.clear()
        self._show()

    def _show(self) -> None:
        lines = [
            f"<b>✗</b> {html.escape(text)}{f' ({times} times)' if times > 1 else ''}"
            for text, times in self._kept.items()
        ]
        self._text.value = f'<div class="cockpit-trouble">{"<br>".join(lines)}</div>' if lines else ""
        self.widget.layout.display = "flex" if lines else "none"
