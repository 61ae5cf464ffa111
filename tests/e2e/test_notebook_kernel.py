"""A kernel of JupyterLab that is killed, and what the desk has started in it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from e2e.lab import Lab
from e2e.test_notebook_desk import DESK, SLOW, button, copied, kernel_of, left, open_desk, until
from playwright.async_api import Browser

from loadtest.load.locust_launcher import LOCUST_SCRIPT


@pytest.mark.browser
@pytest.mark.timeout(200)
async def test_a_killed_kernel_leaves_nothing_of_the_desk(browser: Browser, tmp_path: Path) -> None:
    """SIGKILL of the kernel in the middle of a swarm ends service, Redis, swarm and Locust."""
    async with Lab(tmp_path, copied(DESK, tmp_path)) as lab:
        context = await browser.new_context(viewport={"width": 1400, "height": 1500})
        page = await context.new_page()
        await lab.open(page, DESK)
        await open_desk(page)
        await button(page, "Redis").click()
        await button(page, "Start swarm").click()
        await page.locator('.cockpit [data-verdict="measuring"]').wait_for(timeout=SLOW)
        kernel = kernel_of(lab)
        family = kernel.children(recursive=True)
        for part in ("service", "service.stores.embedded_redis", "loadtest", LOCUST_SCRIPT):
            assert [one for one in family if part in one.cmdline()], part
        kernel.send_signal(signal.SIGKILL)
        await until(lambda: not left(family))
        await context.close()
        assert await lab.end() == 0
