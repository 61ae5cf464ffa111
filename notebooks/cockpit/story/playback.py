"""Plays the story in the notebook: caption, note, progress, the tabs and what was measured; Next and Stop."""

from __future__ import annotations

import asyncio
import contextlib
import html
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

import ipywidgets as widgets

from cockpit.story.script import STORY, Played, Step, TabState, play
from cockpit.story.story_clients import ClientTabs, SessionOccupied
from cockpit.ui.tasks import Tasks
from cockpit.ui.theme import BLUE, card

SPEEDS = (("× 1 – four minutes", 1.0), ("× 2", 2.0), ("× 4", 4.0), ("× 10", 10.0), ("× 60", 60.0))
CHECKED_FOR = 0.4  # seconds that the ✓ of a step can be seen, at any speed
OpenTabs = Callable[[], AbstractAsyncContextManager[ClientTabs]]


class StoryPlayback:
    """Plays the story once at a time. `open_tabs` clears the session and opens the tabs."""

    def __init__(self, open_tabs: OpenTabs, tasks: Tasks, story: Sequence[Step] = STORY) -> None:
        self.story = tuple(story)
        self._open_tabs = open_tabs
        self._tasks = tasks
        self._playing: asyncio.Task[object] | None = None
        self._next = asyncio.Event()
        self._checked = False
        self._caption = widgets.HTML()
        self._seen = widgets.HTML()
        self._tabs = widgets.HTML()
        self._progress = widgets.IntProgress(
            min=0, max=len(self.story), style={"bar_color": BLUE}, layout={"width": "auto", "height": "12px"}
        )
        self.play_button = widgets.Button(description="Play story", icon="play", button_style="primary")
        self.next_button = widgets.Button(description="Next", icon="step-forward", disabled=True)
        self.stop_button = widgets.Button(description="Stop story", icon="stop", disabled=True)
        self.speed = widgets.Dropdown(options=SPEEDS, value=1.0, layout={"width": "160px"})
        self.speed.tooltip = "pace of the story"
        for button in (self.play_button, self.next_button, self.stop_button):
            button.layout.width = "auto"
        self.play_button.on_click(lambda _: tasks.call(lambda: self.start(self.speed.value), "the story"))
        self.next_button.on_click(lambda _: tasks.call(self._next.set, "the story's next step"))
        self.stop_button.on_click(lambda _: tasks.call(self.stop, "stopping the story"))
        words = widgets.VBox([self._caption, self._seen], layout={"flex": "1 1 0", "min_width": "0"})
        controls = widgets.HBox([self.play_button, self.next_button, self.stop_button, self.speed])
        side = widgets.VBox([controls, self._tabs], layout={"flex": "0 0 auto"})
        self.widget = card("Demo story", widgets.HBox([words, side]), self._progress)
        self._idle("A story of four minutes", "Press Play story: three tabs, three players, every claim checked.")

    @property
    def playing(self) -> bool:
        """Whether the story is playing."""
        return self._playing is not None and not self._playing.done()

    def start(self, speed: float) -> None:
        """Play the story in the background, unless it is playing."""
        if not self.playing:
            self._playing = self._tasks.start(self._play_if_free(speed), "the story")

    def stop(self) -> None:
        """Ask the story to end early; without effect when it is not playing."""
        if self._playing is not None:
            self._playing.cancel()

    async def play(self, speed: float) -> tuple[Played, ...]:
        """Play the whole story and return what was measured; raises `StoryFailed`, `SessionOccupied`."""
        self._buttons(playing=True)
        self._progress.bar_style = ""
        self._idle("Clearing the session …", "The simulated players leave, and the notebook only watches.")
        try:
            async with self._open_tabs() as tabs:
                record = await play(
                    self.story,
                    tabs,
                    speed=speed,
                    on_step=lambda number, step: self._show_step(number, step, tabs),
                    on_played=lambda number, played: self._show_played(number, played, tabs),
                    pause=self._pause,
                )
        except asyncio.CancelledError:
            self._idle("The story was stopped", "Play it again at any time: it starts with an empty board.")
            raise
        except SessionOccupied as occupied:
            self._idle("Other players are in the session", str(occupied))
            raise
        except BaseException as error:
            self._progress.bar_style = "danger"
            self._idle("The story failed", str(error), keep_progress=True)
            raise
        else:
            slowest = max((played.slowest for played in record if played.step.timed), default=0.0) * 1000
            self._idle(
                "The end: every claim was checked in all three tabs",
                f"{len(record)} steps; the slowest screen had it {slowest:.0f} ms after the click.",
                keep_progress=True,
            )
            return record
        finally:
            self._buttons(playing=False)

    def disable(self) -> None:
        """Disable the buttons: everything was stopped."""
        self._progress.bar_style = ""
        self._idle("The demo is stopped", "Run the first cell again to start a new one.")
        for widget in (self.play_button, self.next_button, self.stop_button, self.speed):
            widget.disabled = True

    async def _play_if_free(self, speed: float) -> None:
        # Not a failure: the panel names the players that have to leave.
        with contextlib.suppress(SessionOccupied):
            await self.play(speed)

    async def _pause(self, seconds: float) -> None:
        if self._checked:
            seconds = max(seconds, CHECKED_FOR)
        self._next.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._next.wait()

    def _idle(self, caption: str, note: str, *, keep_progress: bool = False) -> None:
        self._caption.value = _words("", caption, note)
        self._seen.value = _measured("")
        self._tabs.value = ""
        if not keep_progress:
            self._progress.value = 0

    def _show_step(self, number: int, step: Step, tabs: ClientTabs) -> None:
        self._checked = False
        self._progress.value = number - 1
        self._caption.value = _words(f"{number} / {len(self.story)}", step.caption, step.note)
        self._seen.value = _measured("…")
        self._show_tabs(tabs)

    def _show_played(self, number: int, played: Played, tabs: ClientTabs) -> None:
        self._checked = True
        self._progress.value = number
        times = ", ".join(f"{name} {after * 1000:.0f} ms" for name, after in played.seen_after.items())
        self._seen.value = _measured(f"✓ seen and checked: {times}")
        self._show_tabs(tabs)

    def _show_tabs(self, tabs: ClientTabs) -> None:
        shown = "".join(_tab(tab.name, tab.seen) for tab in tabs.all)
        self._tabs.value = f'<div class="cockpit-tabs">{shown}</div>'

    def _buttons(self, *, playing: bool) -> None:
        self.play_button.disabled = self.speed.disabled = playing
        self.next_button.disabled = self.stop_button.disabled = not playing


def _tab(name: str, seen: TabState) -> str:
    who = html.escape((seen.user or "watches").title())
    standing = f"#{seen.own.rank} · {seen.own.score}" if seen.own else "–"
    return f'<div class="cockpit-tab">{name}<b>{who}</b><i>{standing} · {seen.connection}</i></div>'


def _words(number: str, caption: str, note: str) -> str:
    return (
        f"<h4>{number}</h4>" * bool(number) + f'<div class="cockpit-caption">{html.escape(caption)}</div>'
        f'<div class="cockpit-note">{html.escape(note)}</div>'
    )


def _measured(text: str) -> str:
    return f'<div class="cockpit-seen">{html.escape(text)}</div>'
