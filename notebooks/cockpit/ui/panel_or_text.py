"""A panel of widgets that is plain text where there is no display."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets

from cockpit.ui.theme import STYLE


class Panel(widgets.VBox):  # type: ignore[misc] # ipywidgets carries no types
    """Rows of widgets in the cockpit's style; `text` returns their content as text."""

    def __init__(self, rows: Sequence[widgets.Widget], text: Callable[[], str]) -> None:
        self._text = text
        layout = {"grid_gap": "10px", "width": "auto", "padding": "4px"}
        super().__init__([widgets.HTML(STYLE), *rows], layout=layout)
        self.add_class("cockpit")

    def __repr__(self) -> str:
        return self._text()

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)
        if bundle is not None:
            bundle["text/plain"] = self._text()  # in full: ipywidgets would truncate it
        return bundle
