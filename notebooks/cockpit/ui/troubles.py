"""What failed in the background, shown until it is dismissed."""

from __future__ import annotations

import html
from collections import Counter

import ipywidgets as widgets

TROUBLES_KEPT = 5


class Troubles:
    """The failures in the background, newest last, until dismissed. Hidden when there is none."""

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
        """Show that `what` failed, and why. A repeated failure is counted."""
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
