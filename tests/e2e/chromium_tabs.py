"""The story's tabs in Chromium: three real pages of the real service, pressed as a person presses them."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Self

from cockpit.story.script import Sight, TabRow, TabState
from playwright.async_api import Browser, BrowserContext, Page

# Tells what the page shows whenever one of its documented hooks changes. Notices go away after
# some seconds, so they are gathered here; a connection that is lost for a moment is counted.
REPORT = """
(() => {
  const arrivals = [];
  let lives = 0, connection = "", last = "";
  const line = (node) => ({ user: node.dataset.user, rank: +node.dataset.rank, score: +node.dataset.score });
  const report = (changes) => {
    const root = document.documentElement;
    for (const { addedNodes } of changes)
      for (const node of addedNodes)
        if (node.matches?.("[data-notice]") && /joined/.test(node.textContent)) arrivals.push(node.textContent);
    const now = root.dataset.connection ?? "";
    if (now !== connection) lives += (connection = now) === "live";
    const own = document.querySelector("[data-own]");
    const seen = JSON.stringify({
      connection,
      user: root.dataset.user || null,
      board: [...document.querySelectorAll("[data-board] > [data-user]")].map(line),
      own: own?.dataset.user && own.dataset.rank ? line(own) : null,
      arrivals,
      lives,
    });
    if (seen !== last) window.tellTest((last = seen));
  };
  new MutationObserver(report).observe(document, { subtree: true, childList: true, attributes: true,
    attributeFilter: ["data-connection", "data-user", "data-rank", "data-score"] });
})();
"""


class PageTab(Sight):
    """One page in a browser context of its own, as another person's browser would be."""

    def __init__(self, name: str, page: Page) -> None:
        super().__init__(name)
        self.page = page

    async def open(self, url: str) -> None:
        """Load the page and wait until it is live."""
        await self.page.expose_function("tellTest", self._take)
        await self.page.add_init_script(REPORT)
        await self.page.goto(url)
        await self.when(lambda seen: seen.connection == "live")

    async def join(self, user: str) -> None:
        """Press the user's button."""
        await self.page.click(f'button[data-join="{user}"]')

    async def score(self, points: int) -> None:
        """Press the points button."""
        await self.page.click(f'button[data-points="{points}"]')

    async def drop(self) -> None:
        """Cut the page's socket as a fault."""
        await self.page.evaluate("window.leaderboard.drop()")

    def _take(self, text: str) -> None:
        self.see(seen_from(text))


def seen_from(text: str) -> TabState:
    """What the page shows, as the story knows it."""
    shown = json.loads(text)
    return TabState(
        shown["connection"],
        shown["user"],
        tuple(TabRow(**line) for line in shown["board"]),
        shown["own"] and TabRow(**shown["own"]),
        tuple(shown["arrivals"]),
        shown["lives"],
    )


class ChromiumTabs:
    """`async with ChromiumTabs(browser, url) as tabs:` has three live pages that watch; `options` are contexts'."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self.url = url
        self.errors: list[str] = []
        self.all: tuple[PageTab, ...] = ()
        self._browser = browser
        self._options = options
        self._contexts: list[BrowserContext] = []

    async def __aenter__(self) -> Self:
        tabs = []
        for number in (1, 2, 3):
            context = await self._browser.new_context(viewport={"width": 900, "height": 900}, **self._options)
            self._contexts.append(context)
            tab = PageTab(f"tab {number}", await context.new_page())
            tab.page.on("pageerror", lambda error: self.errors.append(str(error)))
            tab.page.on("dialog", lambda dialog: dialog.accept())
            await tab.open(self.url)
            tabs.append(tab)
        self.all = tuple(tabs)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for context in self._contexts:
            await context.close()

    async def populate(self) -> None:
        """Press Populate Demo Data in tab 1."""
        await self.all[0].page.click('button[data-action="populate"]')

    async def reset(self) -> None:
        """Press Reset Leaderboard in tab 1."""
        await self.all[0].page.click('button[data-action="reset"]')
