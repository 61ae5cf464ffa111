"""The story in JupyterLab in Chromium, as a presenter plays it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from e2e.lab import Lab
from e2e.test_notebook import NOTEBOOK, listens, until
from playwright.async_api import Browser


@pytest.mark.browser
async def test_the_story_plays_in_jupyterlab_and_leaves_nothing_when_it_ends(browser: Browser, tmp_path: Path) -> None:
    """The story is played by its button twice, and after it was stopped; ending JupyterLab ends the service."""
    async with Lab(tmp_path, dark=True) as lab:
        context = await browser.new_context(viewport={"width": 1400, "height": 1500}, color_scheme="dark")
        page = await context.new_page()
        await lab.open(page, NOTEBOOK)
        await lab.run_all(page)
        await lab.all_ran(page)
        await page.locator(".cockpit select").first.select_option(label="× 60")
        ended = page.get_by_text("The end: every claim was checked in all three tabs")
        for _ in range(2):
            await page.get_by_role("button", name="Play story").click()
            await ended.wait_for(state="hidden")
            await page.get_by_text("1 / 14").wait_for()
            await ended.wait_for(timeout=60_000)
        await page.locator(".cockpit select").first.select_option(label="× 1 – four minutes")
        for _ in range(2):
            await page.get_by_role("button", name="Play story").click()
            await page.get_by_text("1 / 14").wait_for()
            await page.locator(".cockpit button", has_text="Next").click()
            await page.locator(".cockpit-seen", has_text="✓").wait_for()
            await page.get_by_role("button", name="Stop story").click()
            await page.get_by_text("The story was stopped").wait_for()
        assert await page.locator(".cockpit-trouble").count() == 0
        dark = page.locator("iframe.cockpit-dark")
        assert await dark.is_visible()
        service = f"http://{urlsplit(str(await dark.get_attribute('src'))).netloc}"
        assert listens(service)
        assert await lab.end() == 0
        await until(lambda: not listens(service))
        await context.close()
