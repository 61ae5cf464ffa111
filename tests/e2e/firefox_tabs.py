"""The story's tabs in Firefox, over WebDriver BiDi: what Firefox shares with no other browser is its engine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cockpit.story.script import Sight
from e2e.chromium_tabs import REPORT, seen_from
from websockets.asyncio.client import ClientConnection, connect

from loadtest.target.processes import WatchedCommand

NO_FIREFOX = "NOT RUN: tests in Firefox – install Debian's package firefox-esr"
NAMES = ("firefox-esr", "firefox")
LISTENS = "WebDriver BiDi listening on "
STARTS_WITHIN = 60.0  # seconds
CHANNEL = {"type": "channel", "value": {"channel": "shown"}}


def firefox() -> str | None:
    """The program on the PATH, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def running_firefox(program: str, **preferences: object) -> Iterator[str]:
    """A Firefox without a window and with a profile of its own; yields the address of its BiDi session."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in preferences.items()]
        Path(profile, "user.js").write_text("\n".join(lines), encoding="utf-8")
        command = [program, "--headless", "--remote-debugging-port", "0", "--profile", profile]
        environment = {"HOME": profile}
        browser = WatchedCommand("Firefox", command, heard=_listens, environment=environment, together=True)
        with browser:
            yield f"{browser.hear(STARTS_WITHIN).partition(LISTENS)[2]}/session"


def _listens(line: str) -> bool:
    return LISTENS in line


class FirefoxTab(Sight):
    """One page in a container of its own, as another person's browser would be."""

    def __init__(self, name: str, browser: Bidi, context: str) -> None:
        super().__init__(name)
        self._browser = browser
        self._context = context

    async def open(self, url: str) -> None:
        """Load the page and wait until it is live."""
        await self.load(url)
        await self.when(lambda seen: seen.connection == "live")

    async def load(self, url: str) -> None:
        """Load an address."""
        await self._browser.call("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def join(self, user: str) -> None:
        """Press the user's button."""
        await self.press(f'button[data-join="{user}"]')

    async def score(self, points: int) -> None:
        """Press the points button."""
        await self.press(f'button[data-points="{points}"]')

    async def drop(self) -> None:
        """Cut the page's socket as a fault."""
        await self.run("() => window.leaderboard.drop()")

    async def press(self, selector: str) -> None:
        """Click what is found, with the mouse."""
        (button,) = await self.find(selector)
        await self.run("(button) => button.scrollIntoView({ block: 'center' })", button)
        origin = {"type": "element", "element": {"sharedId": button["sharedId"]}}
        steps = [
            {"type": "pointerMove", "x": 0, "y": 0, "origin": origin},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        mouse = {"type": "pointer", "id": "mouse", "actions": steps}
        await self._browser.call("input.performActions", context=self._context, actions=[mouse])

    async def find(self, selector: str) -> list[dict[str, Any]]:
        """The nodes that the selector matches, now."""
        locator = {"type": "css", "value": selector}
        answer = await self._browser.call("browsingContext.locateNodes", context=self._context, locator=locator)
        return list(answer["nodes"])

    async def run(self, function: str, *arguments: dict[str, Any]) -> Any:
        """The value of a JavaScript function in the page."""
        answer = await self._browser.call(
            "script.callFunction",
            functionDeclaration=function,
            arguments=[{"sharedId": node["sharedId"]} for node in arguments],
            target={"context": self._context},
            awaitPromise=True,
        )
        assert answer["type"] == "success", answer
        return answer["result"].get("value")


class Bidi:
    """A BiDi session: calls with their answers, and what the pages tell in between.

    `errors` are the pages' uncaught errors.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self.errors: list[str] = []
        self._socket = socket
        self._calls: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._tabs: dict[str, FirefoxTab] = {}
        self._reading = asyncio.create_task(self._read())

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method and wait for its result."""
        number = len(self._calls)
        self._calls[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(STARTS_WITHIN):
            return await self._calls[number]

    async def begin(self) -> None:
        """Begin the session and listen to all pages."""
        await self.call("session.new", capabilities={})
        await self.call("session.subscribe", events=["script.message", "log.entryAdded"])
        script = f"(tellTest) => {{ window.tellTest = tellTest; {REPORT} }}"
        await self.call("script.addPreloadScript", functionDeclaration=script, arguments=[CHANNEL])

    async def tab(self, name: str) -> FirefoxTab:
        """A tab in a window and a container of its own: pages in the background are slowed down."""
        container = (await self.call("browser.createUserContext"))["userContext"]
        answer = await self.call("browsingContext.create", type="window", userContext=container)
        tab = self._tabs[answer["context"]] = FirefoxTab(name, self, answer["context"])
        return tab

    async def end(self) -> None:
        """Stop to read."""
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading

    async def _read(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            match message["type"]:
                case "success":
                    self._calls[message["id"]].set_result(message["result"])
                case "error":
                    error = f"Firefox: {message['error']}: {message['message']}"
                    self._calls[message["id"]].set_exception(AssertionError(error))
                case "event":
                    self._hear(message["method"], message["params"])

    def _hear(self, method: str, told: dict[str, Any]) -> None:
        if method == "script.message" and told["source"]["context"] in self._tabs:
            self._tabs[told["source"]["context"]].see(seen_from(told["data"]["value"]))
        if method == "log.entryAdded" and told["type"] == "javascript" and told["level"] == "error":
            self.errors.append(told["text"])


@contextlib.asynccontextmanager
async def bidi_session(program: str, **preferences: object) -> AsyncIterator[Bidi]:
    """A Firefox of its own with these preferences, and a session with it that has begun."""
    with running_firefox(program, **preferences) as address:
        async with connect(address, proxy=None, max_size=None) as socket:
            browser = Bidi(socket)
            try:
                await browser.begin()
                yield browser
            finally:
                await browser.end()


class FirefoxTabs:
    """`async with FirefoxTabs(program, url) as tabs:` has three live pages that watch."""

    def __init__(self, program: str, url: str) -> None:
        self.url = url
        self.all: tuple[FirefoxTab, ...] = ()
        self._program = program
        self._running = contextlib.AsyncExitStack()
        self._browser: Bidi

    @property
    def errors(self) -> list[str]:
        """The pages' uncaught errors."""
        return self._browser.errors

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as starting:
            self._browser = await starting.enter_async_context(bidi_session(self._program))
            self.all = tuple([await self._browser.tab(f"tab {number}") for number in (1, 2, 3)])
            for tab in self.all:
                await tab.open(self.url)
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
