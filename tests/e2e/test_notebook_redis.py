"""The Redis of the live demo in JupyterLab in Chromium, as a presenter stops and starts it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import psutil
import pytest
from e2e.lab import Lab
from e2e.test_notebook import NOTEBOOK, Outside
from playwright.async_api import Browser


@pytest.mark.browser
async def test_redis_is_stopped_and_started_in_jupyterlab(browser: Browser, tmp_path: Path) -> None:
    """Stopped by its button Redis is missed and the board moves on; started, it has all of it; it ends with Lab."""
    async with Lab(tmp_path, "--redis") as lab:
        context = await browser.new_context(viewport={"width": 1400, "height": 1500})
        page = await context.new_page()
        outside = Outside(page)
        await lab.open(page, NOTEBOOK)
        await lab.run_all(page)
        await page.locator(".cockpit-strip", has_text="in Redis").wait_for()
        state, words = page.locator(".cockpit-state"), page.locator(".cockpit-words")
        await words.get_by_text("it comes back empty").wait_for()
        # Once the cells have run, kernel and panel are free for the presenter.
        await lab.all_ran(page)
        await page.get_by_role("button", name="Stop simulated players").click()
        await page.get_by_role("button", name="Reset Leaderboard").click()
        await page.locator(".bqplot text", has_text="Alice").wait_for(state="hidden")

        await page.get_by_role("button", name="Stop Redis").click()
        await state.get_by_text("degraded: scores only in this process").wait_for()
        await page.locator(".cockpit-strip", has_text="degraded").wait_for()
        await page.get_by_role("button", name="+100", exact=True).click()
        await page.locator(".bqplot text", has_text=re.compile(r"1\. .*Alice +100")).first.wait_for()
        await words.get_by_text("1 score answered durable: false, 0 made durable since").wait_for()

        await page.get_by_role("button", name="Start Redis").click()
        await words.get_by_text("1 score answered durable: false, 1 made durable since").wait_for()
        await words.get_by_text("whole again after").wait_for()
        await page.get_by_role("button", name="+25", exact=True).click()
        await page.locator(".bqplot text", has_text=re.compile(r"1\. .*Alice +125")).first.wait_for()
        for label in ("stop", "noticed", "start", "whole again"):
            moment = page.locator(".bqplot text").get_by_text(label, exact=True)
            await moment.first.wait_for()
            assert await moment.count() == 2
        frame = page.frame_locator("iframe.cockpit-light")
        await frame.locator('[data-own][data-user="alice"][data-score="125"]').wait_for()

        family = psutil.Process(lab.process.pid).children(recursive=True)
        assert [child for child in family if "service.stores.embedded_redis" in child.cmdline()]
        assert await page.locator(".cockpit-trouble").count() == 0
        assert outside.addresses == []
        assert await lab.end() == 0
        _, alive = await asyncio.to_thread(psutil.wait_procs, family, timeout=10)
        assert alive == []
        await context.close()
