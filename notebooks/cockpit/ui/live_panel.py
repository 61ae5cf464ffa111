"""What the objects of the notebooks share: a panel that is drawn while background work goes on, and one end.

Law of the file: a kernel has one open object of each class, so that a cell may be run again; whatever an
object has started ends with `close`.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import ipywidgets as widgets

from cockpit.ui.panel_or_text import Panel
from cockpit.ui.tasks import Tasks
from cockpit.ui.troubles import Troubles


class LivePanel(ABC):
    """An object with a panel. It draws the latest state after each `_changed.set()`, and owns its background tasks.

    A task that fails is shown in the panel until it is dismissed. Made on the loop that the tasks run on.
    """

    frame_time: ClassVar[float]  # seconds between two draws, at least
    redraw_time: ClassVar[float | None] = None  # seconds after which it draws without a change; None: never
    _open: ClassVar[dict[type[LivePanel], LivePanel]] = {}

    def __init__(self) -> None:
        self._troubles = Troubles()
        self._tasks = Tasks(self._troubles.report)
        self._troubles.button.on_click(lambda _: self._tasks.call(self._troubles.dismiss, "dismissing"))
        self._changed = asyncio.Event()
        self._panel: Panel | None = None
        self._closed = False

    @property
    def troubles(self) -> list[str]:
        """What failed in the background, in words, oldest first."""
        return self._troubles.texts

    @property
    def running(self) -> bool:
        """Whether it has not been closed."""
        return not self._closed

    def panel(self) -> Panel:
        """Return the panel, the same one at each call."""
        if self._panel is None:
            self._panel = Panel(self._rows(), self.__repr__)
            self._changed.set()
        return self._panel

    async def close(self) -> None:
        """End everything it has started. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._open.get(type(self)) is self:
            del self._open[type(self)]
        await self._release()

    async def stop(self) -> None:
        """Do the same as `close`: the name that notebooks hold."""
        await self.close()

    @classmethod
    async def _close_earlier(cls) -> None:
        """Close the open object of this class, if there is one."""
        if (earlier := cls._open.get(cls)) is not None:
            await earlier.close()

    def _begin(self) -> None:
        """Be the open object of this class, and draw from now on."""
        self._open[type(self)] = self
        self._tasks.start(self._draw(), "drawing")

    async def _draw(self) -> None:
        """Render the latest state until cancelled; states in between are never drawn."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.redraw_time):
                    await self._changed.wait()
            self._changed.clear()
            if self._panel is not None:
                self._render()
            await asyncio.sleep(self.frame_time)

    @abstractmethod
    def _rows(self) -> Sequence[widgets.Widget]:
        """Return the rows of the panel; called once."""

    @abstractmethod
    def _render(self) -> None:
        """Write the latest state into the widgets."""

    @abstractmethod
    async def _release(self) -> None:
        """End what was started, the tasks included, and show that it has ended. Called once."""
