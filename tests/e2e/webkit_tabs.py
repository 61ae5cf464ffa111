"""The story's tabs in WebKitGTK, over WebDriver: the engine of Safari, as far as one can have it on Linux."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import httpx
from cockpit.story.script import Sight
from e2e.chromium_tabs import REPORT, seen_from

from loadtest.target.ports import free_port
from loadtest.target.processes import WatchedCommand

NEEDS = ("WebKitWebDriver", "Xvfb")
NO_WEBKIT = "NOT RUN: tests in WebKitGTK – install Debian's packages webkit2gtk-driver and xvfb"
STARTS_WITHIN = 60.0  # seconds
LOOKS_EVERY = 0.02  # seconds; WebDriver tells nothing by itself
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element's id, in the standard
NOTE = """
window.told = { seen: [], errors: [] };
window.tellTest = (seen) => told.seen.push(seen);
addEventListener("error", ({ message }) => told.errors.push(message));
addEventListener("unhandledrejection", ({ reason }) => told.errors.push(String(reason)));
"""
TAKE = "return { seen: told.seen.splice(0), errors: told.errors.splice(0) }"


def webkit() -> bool:
    """Whether everything that these tabs need is on the PATH."""
    return all(map(shutil.which, NEEDS))


@contextlib.contextmanager
def running_driver() -> Iterator[str]:
    """WebKit's driver on a screen of its own; yields its address."""
    with contextlib.ExitStack() as running:
        home = running.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        screen = ["Xvfb", "-displayfd", "1", "-screen", "0", "1280x1000x24", "-nolisten", "tcp"]
        display = running.enter_context(WatchedCommand("Xvfb", screen, heard=str.isdigit)).hear(STARTS_WITHIN)
        environment = {
            "DISPLAY": f":{display}", "GDK_BACKEND": "x11", "HOME": home, "LIBGL_ALWAYS_SOFTWARE": "1",
            "NO_AT_BRIDGE": "1", "WEBKIT_DISABLE_COMPOSITING_MODE": "1",
            "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1", "XDG_RUNTIME_DIR": home,
            "http_proxy": "", "https_proxy": "", "all_proxy": "",
        }  # fmt: skip
        port = free_port()
        driver = ["WebKitWebDriver", f"--port={port}"]
        running.enter_context(WatchedCommand("WebKitWebDriver", driver, environment=environment))
        yield f"http://127.0.0.1:{port}"


class WebKit:
    """A WebDriver session. Its windows are driven one at a time, as the standard has one current window."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._session = ""
        self._one_at_a_time = asyncio.Lock()

    async def begin(self) -> str:
        """Wait for the driver and begin a session; returns its first window."""
        async with asyncio.timeout(STARTS_WITHIN):
            while not await self._ready():
                await asyncio.sleep(LOOKS_EVERY)
        self._session = f"/session/{(await self._call('POST', '/session', capabilities={}))['sessionId']}"
        return str(await self._call("GET", f"{self._session}/window"))

    async def window(self) -> str:
        """Another window."""
        return str((await self._call("POST", f"{self._session}/window/new", type="window"))["handle"])

    async def does(self, window: str, *commands: tuple[str, dict[str, Any]]) -> Any:
        """Do commands in a window; `{}` in a path stands for the element found before. Returns the last result."""
        result: Any = {}
        async with self._one_at_a_time:
            await self._call("POST", f"{self._session}/window", handle=window)
            for path, params in commands:
                found = result.get(ELEMENT, "") if isinstance(result, dict) else ""
                result = await self._call("POST", f"{self._session}{path.format(found)}", **params)
        return result

    async def end(self) -> None:
        """End the session and its windows."""
        await self._call("DELETE", self._session)

    async def _ready(self) -> bool:
        try:
            return bool((await self._call("GET", "/status"))["ready"])
        except httpx.TransportError:
            return False

    async def _call(self, method: str, path: str, **params: Any) -> Any:
        answer = await self._http.request(method, path, json=params if method == "POST" else None)
        value = answer.json()["value"]
        assert answer.is_success, f"WebKitWebDriver: {value}"
        return value


class WebKitTab(Sight):
    """One page in a window of its own."""

    def __init__(self, name: str, browser: WebKit, window: str) -> None:
        super().__init__(name)
        self.errors: list[str] = []
        self._browser = browser
        self._window = window
        self._watching: asyncio.Task[None]

    async def open(self, url: str) -> None:
        """Load the page, watch what it shows, and wait until it is live."""
        await self._browser.does(self._window, ("/url", {"url": url}), _script(NOTE + REPORT))
        self._watching = asyncio.create_task(self._watch())
        await self.when(lambda seen: seen.connection == "live")

    async def join(self, user: str) -> None:
        """Press the user's button."""
        await self.press(f'button[data-join="{user}"]')

    async def score(self, points: int) -> None:
        """Press the points button."""
        await self.press(f'button[data-points="{points}"]')

    async def drop(self) -> None:
        """Cut the page's socket as a fault."""
        await self._browser.does(self._window, _script("leaderboard.drop()"))

    async def press(self, selector: str) -> None:
        """Click what is found, with the mouse."""
        found = ("/element", {"using": "css selector", "value": selector})
        await self._browser.does(self._window, found, ("/element/{}/click", {}))

    async def close(self) -> None:
        """Stop to watch."""
        self._watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watching

    async def _watch(self) -> None:
        while True:
            told = await self._browser.does(self._window, _script(TAKE))
            self.errors += told["errors"]
            for text in told["seen"]:
                self.see(seen_from(text))
            await asyncio.sleep(LOOKS_EVERY)


def _script(text: str) -> tuple[str, dict[str, Any]]:
    return "/execute/sync", {"script": text, "args": []}


class WebKitTabs:
    """`async with WebKitTabs(url) as tabs:` has three live pages that watch."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.all: tuple[WebKitTab, ...] = ()
        self._running = contextlib.AsyncExitStack()

    @property
    def errors(self) -> list[str]:
        """The pages' uncaught errors."""
        return [error for tab in self.all for error in tab.errors]

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as starting:
            address = starting.enter_context(running_driver())
            client = httpx.AsyncClient(base_url=address, trust_env=False, timeout=STARTS_WITHIN)
            browser = WebKit(await starting.enter_async_context(client))
            windows = [await browser.begin()]
            starting.push_async_callback(browser.end)
            windows += [await browser.window(), await browser.window()]
            self.all = tuple(WebKitTab(f"tab {n}", browser, window) for n, window in enumerate(windows, 1))
            for tab in self.all:
                await tab.open(self.url)
                starting.push_async_callback(tab.close)
            self._running = starting.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._running.aclose()

    async def populate(self) -> None:
        """Press Populate Demo Data in tab 1."""
        await self.all[0].press('button[data-action="populate"]')

    async def reset(self) -> None:
        """Press Reset Leaderboard in tab 1."""
        await self.all[0].press('button[data-action="reset"]')
