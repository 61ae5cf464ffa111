"""JupyterLab as `python -m cockpit` starts it, with settings of its own, and how a person uses it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Error, Page

ROOT = Path(__file__).parents[2]
TOKEN = "presenter"
STARTS_WITHIN = 60.0  # seconds: some of them are of a processor that other tests use as well


async def on_every_timeline(page: Page, label: str) -> bool:
    """Whether the moment of this name stands on the charts over time, and on each as often as on the others."""
    charts = await page.locator(".bqplot").all()
    counts = [await chart.locator("text").get_by_text(label, exact=True).count() for chart in charts]
    shown = [count for count in counts if count]
    return len(shown) > 1 and len(set(shown)) == 1


class Lab:
    """`async with Lab(folder) as lab:` is a running JupyterLab on a free port; it ends as by Ctrl-C, or with pytest.

    `options` are further ones for `python -m cockpit`.
    """

    def __init__(self, folder: Path, *options: str, dark: bool = False) -> None:
        self.folder = folder
        self._options = options
        self._dark = dark
        self.status: int | None = None

    async def __aenter__(self) -> Self:
        themes = self.folder / "settings" / "@jupyterlab" / "apputils-extension" / "themes.jupyterlab-settings"
        themes.parent.mkdir(parents=True)
        themes.write_text(json.dumps({"theme": "JupyterLab Dark" if self._dark else "JupyterLab Light"}))
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(ROOT), str(ROOT / "notebooks")]),
            "JUPYTERLAB_SETTINGS_DIR": str(self.folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(self.folder / "workspaces"),
            "JUPYTER_RUNTIME_DIR": str(self.folder / "runtime"),
            "JUPYTER_DATA_DIR": str(self.folder / "data"),
            "JUPYTER_CONFIG_DIR": str(self.folder / "config"),
            "IPYTHONDIR": str(self.folder / "ipython"),
        }
        self.log = (self.folder / "lab.log").open("wb")
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cockpit", "--until-parent-ends", "--no-browser", "--port", "0",
            f"--IdentityProvider.token={TOKEN}", *self._options,
            cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=self.log,
        )  # fmt: skip
        assert self.process.stdout is not None
        async with asyncio.timeout(STARTS_WITHIN):
            line = (await self.process.stdout.readline()).decode().strip()
        assert line.startswith("http://"), (self.folder / "lab.log").read_text()
        self.url = f"http://{urlsplit(line).netloc}"
        self.announced = line
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.end()

    async def end(self) -> int:
        """Press Ctrl-C once and wait; returns the exit status."""
        if self.status is None:
            self.process.send_signal(signal.SIGINT)
            async with asyncio.timeout(60):  # it may be starting a kernel in place of one that was killed
                self.status = await self.process.wait()
            self.log.close()
        return self.status

    async def open(self, page: Page, notebook: str) -> None:
        """Open the notebook and wait until its kernel is named and idle: the indicator alone says idle too early."""
        await page.goto(f"{self.url}/doc/tree/{notebook}?token={TOKEN}&reset")
        await page.wait_for_function(
            """() => /Python/.test(document.querySelector(".jp-KernelName")?.textContent)
               && document.querySelector(".jp-Notebook-ExecutionIndicator")?.dataset.status === "idle" """,
            timeout=60_000,
        )

    async def run_all(self, page: Page) -> None:
        """Choose Run → Run All Cells and return when the panel is live."""
        await page.get_by_role("menuitem", name="Run", exact=True).click()
        await page.locator('[data-command="runmenu:run-all"]').click()
        try:
            await page.locator(".cockpit-strip b", has_text="live").wait_for(timeout=60_000)
        except Error:
            shown, logged = await page.locator("body").inner_text(), (self.folder / "lab.log").read_text()
            pytest.fail(f"expected a live panel, got\n{shown}\nJupyterLab logged\n{logged}")

    async def all_ran(self, page: Page) -> None:
        """Return when the last cell has run: its picture is there, and the kernel is free for the panel."""
        # Not by words of the picture: the live chart has the same.
        await page.locator(".jp-RenderedSVG :is(img, svg)").first.wait_for(timeout=60_000)
        await page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for(timeout=30_000)
