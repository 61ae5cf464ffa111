"""What the demo and the desk share: one object per kernel, drawing, troubles, and one end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import ipywidgets as widgets
import pytest
from cockpit.ui.live_panel import LivePanel


class Counter(LivePanel):
    """Counts its draws and its releases."""

    frame_time = 0.02

    def __init__(self) -> None:
        super().__init__()
        self.drawn = 0
        self.released = 0

    @classmethod
    async def start(cls) -> Counter:
        await cls._close_earlier()
        counter = cls()
        counter._begin()
        return counter

    def change(self) -> None:
        self._changed.set()

    def fail(self) -> None:
        self._tasks.call(lambda: 1 / 0, "dividing")

    def _rows(self) -> Sequence[widgets.Widget]:
        return [self._troubles.widget]

    def _render(self) -> None:
        self.drawn += 1

    async def _release(self) -> None:
        self.released += 1
        await self._tasks.cancel()


class Restless(Counter):
    """Draws without a change too."""

    redraw_time = 0.01


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
async def counter() -> AsyncIterator[Counter]:
    counter = await Counter.start()
    yield counter
    await counter.close()


async def test_it_draws_after_a_change_and_not_without_a_panel(counter: Counter) -> None:
    """Without a panel nothing is drawn; asking for it draws once; a burst of changes draws once more."""
    counter.change()
    await asyncio.sleep(3 * counter.frame_time)
    assert counter.drawn == 0
    assert counter.panel() is counter.panel()
    await until(lambda: counter.drawn == 1)
    for _ in range(10):
        counter.change()
    await until(lambda: counter.drawn == 2)
    await asyncio.sleep(3 * counter.frame_time)
    assert counter.drawn == 2


async def test_with_a_redraw_time_it_draws_without_a_change() -> None:
    """It draws again and again, though nothing has changed since the first draw."""
    restless = await Restless.start()
    restless.panel()
    await until(lambda: restless.drawn >= 3)
    await restless.close()


async def test_a_second_one_closes_the_first_of_its_class(counter: Counter) -> None:
    """Another class may be open beside it; another object of its class closes it, once."""
    other = await Restless.start()
    assert counter.running
    again = await Counter.start()
    assert (counter.running, counter.released) == (False, 1)
    assert other.running
    assert again.running
    await other.close()
    await again.close()


async def test_stop_is_close_and_a_second_call_does_nothing(counter: Counter) -> None:
    """Both names end it, and its tasks, once; then another start has nothing to close."""
    await counter.stop()
    await counter.close()
    await counter.stop()
    assert counter.released == 1
    assert len(counter._tasks) == 0
    again = await Counter.start()
    assert counter.released == 1
    await again.close()


async def test_what_fails_is_shown_until_dismissed(counter: Counter) -> None:
    """A failure in the background is among the troubles, and the button removes it."""
    counter.fail()
    await until(lambda: counter.troubles)
    assert counter.troubles[0].startswith("dividing failed: ZeroDivisionError")
    counter._troubles.button.click()
    await until(lambda: not counter.troubles)
