"""The talk of docs/presenting.md, pressed in Chromium at its own times: `nox -s cockpit -- tests/e2e/talk.py`.

Twelve minutes, two of them for the results beforehand. Not among the tests that `pytest` finds by
itself. Says of each step how long the machine took for it, and keeps a picture of it where
`--basetemp` says.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from e2e.bench_cockpit import VIEWPORT, tell
from e2e.lab import Lab, on_every_timeline
from e2e.test_notebook import NOTEBOOK
from e2e.test_notebook_desk import DESK, RESULTS, button, copied, run_all
from playwright.async_api import Browser, Page

LATE = 3.0  # seconds that a step may begin behind the time of the table
pytestmark = [pytest.mark.browser, pytest.mark.timeout(1800)]


class Clock:
    """Says when the table's next step is due, and what it took."""

    def __init__(self, folder: Path, capsys: Any) -> None:
        self._folder = folder
        self._capsys = capsys
        self._began = time.perf_counter()

    def begin(self) -> None:
        """The audience is there: 0:00."""
        self._began = time.perf_counter()

    @asynccontextmanager
    async def step(self, at: str, page: Page, what: str) -> AsyncIterator[None]:
        """Wait until it is `at`; then time what is done, and keep a picture of what it shows."""
        minutes, seconds = map(int, at.split(":"))
        due = self._began + 60 * minutes + seconds
        await asyncio.sleep(max(due - time.perf_counter(), 0.0))
        late = time.perf_counter() - due
        async with self.timed(f"{at} {what}", page):
            yield
        assert late <= LATE, f"{what}: {late:.1f} s behind the table"

    @asynccontextmanager
    async def timed(self, what: str, page: Page) -> AsyncIterator[None]:
        """Say how long it took; the picture's name is made of its first words."""
        before = time.perf_counter()
        yield
        tell(self._capsys, f"{time.perf_counter() - before:7.2f} s  {what}")
        await asyncio.sleep(0.5)  # the bars have come to their places
        name = re.sub(r"\W+", "-", what)[:30].strip("-")
        panel = page.locator(".cockpit")
        await (panel.first if await panel.count() else page).screenshot(path=self._folder / f"{name}.png")


@asynccontextmanager
async def window(browser: Browser, folder: Path, notebook: str, *options: str) -> AsyncIterator[Page]:
    """A JupyterLab of its own on the notebook, by these options or on a copy; in the end nothing has failed in it."""
    folder.mkdir()
    async with Lab(folder, *(options or [copied(notebook, folder)])) as lab:
        context = await browser.new_context(viewport=VIEWPORT)
        page = await context.new_page()
        page.set_default_timeout(20_000)
        await lab.open(page, notebook)
        yield page
        assert await page.locator(".cockpit-trouble").all_inner_texts() == []
        assert await page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
        await context.close()


async def score(page: Page, points: int, standing: str) -> None:
    """Press points and wait until the chart shows the standing."""
    await button(page, f"+{points}").click()
    await page.locator(".bqplot text", has_text=re.compile(standing)).first.wait_for()


async def choose(page: Page, slider: str, value: int) -> None:
    """Type a value into a slider's number, which is quicker than dragging."""
    readout = page.locator(".widget-slider", has_text=slider).locator(".widget-readout")
    await readout.fill(str(value))
    await readout.press("Enter")


async def the_stage(clock: Clock, page: Page) -> None:
    """The first five minutes."""
    marks = page.locator(".bqplot text")
    async with clock.step("0:30", page, "players stopped, board reset, +25 in the chart"):
        await button(page, "Stop simulated players").click()
        await button(page, "Reset Leaderboard").click()
        await page.locator(".bqplot text", has_text="Nova").wait_for(state="hidden")
        await score(page, 25, r"1\. .*Alice +25")
    async with clock.step("1:00", page, "the story at × 4, to its end"):
        await page.locator(".cockpit select").first.select_option(label="× 4")
        await button(page, "Play story").click()
        await page.get_by_text("The end: every claim was checked in all three tabs").wait_for(timeout=80_000)
    async with clock.step("2:30", page, "twenty-five play, then thirty at thirty scores/s"):
        await button(page, "Simulate players").click()
        await page.get_by_text("25 of 25 connected").wait_for()
        await choose(page, "Players", 30)
        await page.get_by_text("30 of 30 connected").wait_for()
        await choose(page, "Scores/s", 30)
        await page.locator(".cockpit-strip b", has_text=re.compile(r"^(2[5-9]|3\d)$")).nth(1).wait_for()
    async with clock.step("3:15", page, "Stop Redis to degraded"):
        await button(page, "Stop Redis").click()
        await page.locator(".cockpit-state").get_by_text("degraded: scores only in this process").wait_for()
    async with clock.step("3:45", page, "Start Redis to whole again"):
        await button(page, "Start Redis").click()
        await page.locator(".cockpit-words").get_by_text("whole again after").wait_for()
    async with clock.step("4:05", page, "nobody has lost a point: all made durable"):
        words = page.locator(".cockpit-words", has_text="durable: false").first
        alone, since = re.findall(r"(\d+) (?:scores? answered|made durable)", await words.inner_text())
        assert int(alone) == int(since) > 0
    slider = page.locator(".cockpit .noUi-handle[role=slider]").last
    async with clock.step("4:30", page, "Rewind by 30 s, to all four moments"):
        await slider.scroll_into_view_if_needed()
        for _ in range(6):
            await slider.press("PageDown")
        await page.get_by_text(re.compile(r"as it was at .* 30 s back")).wait_for()
        for label in ("stop", "noticed", "start", "whole again"):
            await marks.get_by_text(label, exact=True).first.wait_for()
            assert await on_every_timeline(page, label)
    async with clock.step("4:50", page, "LIVE"):
        await button(page, "LIVE").click()
        await page.locator(".cockpit-state", has_text=re.compile(r"^\s*LIVE$")).wait_for()


async def the_desk(clock: Clock, page: Page) -> None:
    """From the sixth minute to the eighth."""
    faults, lamp = page.locator(".cockpit-faults"), page.locator(".cockpit [data-verdict]")
    async with clock.step("5:15", page, "Start swarm to measuring"):
        await button(page, "Start swarm").click()
        await page.locator('.cockpit [data-verdict="measuring"]').wait_for()
    async with clock.step("6:15", page, "Stop Redis to detected"):
        await button(page, "Stop Redis").click()
        await faults.get_by_text("Redis stopped, detected after").wait_for()
    async with clock.step("6:25", page, "Start Redis to recovered"):
        await button(page, "Start Redis").click()
        await faults.get_by_text(re.compile("Redis stopped, detected after .* recovered after")).wait_for()
    async with clock.step("6:45", page, "Freeze to over"):
        await button(page, "Freeze 1 s").click()
        await faults.get_by_text(re.compile("frozen for 1 s, detected after .* recovered after")).wait_for()
    async with clock.step("7:15", page, "wait for the lamp"):
        verdict = page.locator(":is([data-verdict=PASS], [data-verdict=FAIL], [data-verdict=INVALID])")
        await verdict.wait_for()
    said = [*await lamp.all_inner_texts(), *await page.locator(".cockpit .cockpit-words").all_inner_texts()]
    clock_words = " | ".join(" ".join(text.split()) for text in said if text.strip())
    tell(clock._capsys, f"           the desk says: {clock_words}")


async def test_the_talk(browser: Browser, tmp_path: Path, capsys: Any) -> None:
    """Every step of the table begins at its time and shows what the table says."""
    clock = Clock(tmp_path, capsys)
    async with contextlib.AsyncExitStack() as windows:
        # Before the audience comes.
        results = await windows.enter_async_context(window(browser, tmp_path / "results", RESULTS))
        async with clock.timed("the results are made beforehand", results):
            await run_all(results)
            await results.locator(".jp-RenderedSVG").nth(1).wait_for(timeout=320_000, state="attached")
        desk = await windows.enter_async_context(window(browser, tmp_path / "desk", DESK))
        async with clock.timed("the desk's cells", desk):
            await run_all(desk)
            await desk.locator(".jp-OutputArea-output pre", has_text="steady, 60 players").wait_for(timeout=90_000)
        await button(desk, "Redis").click()
        await choose(desk, "Seconds", 120)
        before = time.perf_counter()
        stage = await windows.enter_async_context(window(browser, tmp_path / "stage", NOTEBOOK, "--redis"))
        tell(capsys, f"{time.perf_counter() - before:7.2f} s  the stage: from the command to the notebook")
        async with clock.timed("the stage: Run All to live", stage):
            await run_all(stage)
            await stage.locator(".cockpit-strip b", has_text="live").wait_for()
            await stage.frame_locator("iframe.cockpit-light").locator('[data-own][data-user="alice"]').wait_for()
        async with clock.timed("the stage: all cells", stage):
            await stage.locator(".jp-RenderedSVG :is(img, svg)").first.wait_for()

        clock.begin()
        await the_stage(clock, stage)
        await the_desk(clock, desk)
        async with clock.step("8:00", results, "the third window has its tables and its picture"):
            assert await results.locator(".jp-RenderedHTMLCommon table").count() == 4
            await results.locator(".jp-RenderedSVG").last.scroll_into_view_if_needed()
        async with clock.step("9:30", stage, "Stop everything, the stage"):
            await button(stage, "Stop everything").click()
            await stage.get_by_text("Everything was stopped").wait_for()
        async with clock.timed("Stop everything, the desk", desk):
            await button(desk, "Stop everything").click()
            await desk.locator(".cockpit button[disabled]", has_text="Stop everything").wait_for()
