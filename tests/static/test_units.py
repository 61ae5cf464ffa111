"""The page's pure modules, tested where they run: in a browser, without a build."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Route

HERE = Path(__file__).parent
STATIC = HERE.parents[1] / "static"
SENTENCES = re.findall(r'^test\("(.+)", ', (HERE / "units.js").read_text(encoding="utf-8"), re.MULTILINE)

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
async def units(browser: Browser) -> AsyncIterator[Page]:
    """An empty page with the unit tests loaded; its address exists only here."""

    async def serve(route: Route) -> None:
        folder, _, name = route.request.url.removeprefix("http://units.test/").partition("/")
        if not name:
            await route.fulfill(body="", content_type="text/html")
        else:
            source = (STATIC if folder == "static" else HERE) / name
            await route.fulfill(body=source.read_bytes(), content_type="text/javascript")

    page = await browser.new_page()
    await page.route("**/*", serve)
    await page.goto("http://units.test/")
    yield page
    await page.close()


@pytest.mark.parametrize("sentence", SENTENCES)
async def test_unit(units: Page, sentence: str) -> None:
    """A pure module of the page does what the sentence says."""
    await units.evaluate("async (name) => (await import('/tests/units.js')).tests[name]()", sentence)


async def test_no_unit_is_left_out(units: Page) -> None:
    """Every unit test that the module has is run."""
    assert sorted(await units.evaluate("async () => Object.keys((await import('/tests/units.js')).tests)")) == sorted(
        SENTENCES
    )
