"""The page under test: from a running service, or alone with a socket that the test plays."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fonts import FAMILIES
from playwright.async_api import Browser, BrowserContext, Page, Route, WebSocketRoute
from wide import first_of

from service.http.qr_code import qr_svg

STATIC = Path(__file__).parents[2] / "static"
CONTENT_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
STRICT = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'"
PEOPLE = [
    {"id": name.lower(), "username": name, "avatar": avatar, "color": color}
    for name, avatar, color in (("Alice", "🦊", "#d55e00"), ("Bob", "🐼", "#0072b2"), ("Charlie", "🦁", "#e69f00"))
]
LOST_SERVICE = "ERR_CONNECTION_REFUSED"

PATIENCE = 15_000  # ms until something expected counts as missing
LASTING = """() => { const later = setTimeout;
    window.setTimeout = (act, ms) => later(act, ms >= 2_000 ? 600_000 : ms) }"""

Visit = Callable[..., Awaitable[Page]]
Prepare = Callable[[Page], Awaitable[None]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test marked `layout` once in each font family; in the default run in the first, or in `each` as well."""
    layout = metafunc.definition.get_closest_marker("layout")
    if layout:
        metafunc.parametrize("browser", FAMILIES if "each" in layout.args else first_of(*FAMILIES), indirect=True)


class Contexts:
    """Browser contexts by their options, lent to one page at a time.

    A context costs half a second of CPU, several times what a page costs. What earlier pages left in its local storage
    goes before a page first looks there.
    """

    _FORGET = """try {
        if (!sessionStorage.getItem("lent")) localStorage.clear();
        sessionStorage.setItem("lent", "before");
    } catch {}"""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._free: dict[str, list[BrowserContext]] = {}

    @asynccontextmanager
    async def page(self, *, own_clock: bool = False, **options: Any) -> AsyncIterator[Page]:
        """A page in a context that no other open page shares.

        With a clock of its own a page begins at the time to which pages before it have moved that, and it runs.
        """
        free = self._free.setdefault(json.dumps([own_clock, options], sort_keys=True), [])
        context = free.pop() if free else await self._new(own_clock, options)
        page = await context.new_page()
        await page.add_init_script(self._FORGET)
        yield page
        await page.close()
        if own_clock:
            await context.clock.resume()
        free.append(context)

    async def _new(self, own_clock: bool, options: dict[str, Any]) -> BrowserContext:
        context = await self._browser.new_context(**options)
        if own_clock:
            await context.clock.install()
        return context


@pytest.fixture(scope="session")
async def contexts(browser: Browser) -> Contexts:
    """The contexts of all tests."""
    return Contexts(browser)


def listen(page: Page, host: str, tolerate: str, complaints: list[str]) -> None:
    """Take down what the page complains about, and what it asks of another host."""

    def heard(message: Any) -> None:
        if message.type in {"error", "warning"} and not re.search(tolerate, message.text):
            complaints.append(f"console: {message.text}")

    def asked(request: Any) -> None:
        if urlsplit(request.url).netloc != host:
            complaints.append(f"asked elsewhere: {request.url}")

    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("request", asked)
    page.set_default_timeout(PATIENCE)


@pytest.fixture
async def visit(contexts: Contexts) -> AsyncIterator[Visit]:
    """Open pages; in the end none of them has complained, or has asked another machine for anything.

    `size` is (width, height) in CSS pixels, `prepare` sees the page before it loads, `tolerate` is a
    pattern of complaints that the test provokes. `own_clock` lets `page.clock` move or stop the page's time. Further
    options go to the browser context: each set costs one of its own.
    With `page` the address opens in that one, where nothing is remembered, which costs less than another page.
    """
    complaints: list[str] = []
    pages = AsyncExitStack()

    async def open_page(
        url: str,
        *,
        page: Page | None = None,
        size: tuple[int, int] = (1280, 800),
        prepare: Prepare | None = None,
        tolerate: str = LOST_SERVICE,
        color_scheme: Any = "light",
        reduced_motion: Any = "no-preference",
        **options: Any,
    ) -> Page:
        if page is None:
            page = await pages.enter_async_context(contexts.page(**options))
            listen(page, urlsplit(url).netloc, tolerate, complaints)
            if prepare is not None:
                await prepare(page)
        else:
            await page.evaluate("sessionStorage.clear()")
        await page.set_viewport_size({"width": size[0], "height": size[1]})
        await page.emulate_media(color_scheme=color_scheme, reduced_motion=reduced_motion)
        await page.goto(url)
        return page

    async with pages:
        yield open_page
    assert complaints == []


class Stage:
    """A service that the test plays: it hears what the page sends, and says what it is told to."""

    def __init__(self) -> None:
        self.sockets: list[WebSocketRoute] = []
        self.heard: list[dict[str, Any]] = []
        self.times: list[float] = []  # when each of them came
        self.calls: list[str] = []  # the paths of the page's HTTP calls
        self.answer: Callable[[dict[str, Any]], None] = self.welcome
        self.rows: list[dict[str, Any]] = []
        self.version = 1
        self.health: dict[str, Any] = {"status": "healthy", "storage": "memory"}

    async def serve(self, route: Route) -> None:
        """Answer an HTTP call of the page."""
        _, _, path, query, _ = urlsplit(route.request.url)
        if path.startswith("/api/"):
            self.calls.append(path)
        if path == "/api/demo":
            await route.fulfill(json={"availableUsers": PEOPLE})
        elif path == "/api/qr":
            await route.fulfill(body=qr_svg(parse_qs(query)["to"][0]), content_type="image/svg+xml")
        elif path == "/health":
            await route.fulfill(json=self.health)
        else:
            file = STATIC / (path.removeprefix("/static/").removeprefix("/") or "index.html")
            content_type = CONTENT_TYPES[file.suffix]
            await route.fulfill(
                body=file.read_bytes(), content_type=content_type, headers={"Content-Security-Policy": STRICT}
            )

    def connected(self, socket: WebSocketRoute) -> None:
        """Take a new socket of the page."""
        self.sockets.append(socket)
        socket.on_message(lambda frame: socket in self.sockets and self.hear(json.loads(frame)))

    def forget(self) -> None:
        """Go on as if nothing had come yet and nobody had scored; the sockets until now are heard no more."""
        for kept in (self.sockets, self.heard, self.times, self.calls):
            kept.clear()
        self.rows, self.version = [], 1

    def hear(self, message: dict[str, Any]) -> None:
        """Note a message of the page and when it came, in seconds, and answer."""
        self.heard.append(message)
        self.times.append(time.monotonic())
        self.answer(message)

    def welcome(self, message: dict[str, Any]) -> None:
        """Answer joins, watches and pings as the service does, and nothing else."""
        if message["type"] in {"join-demo", "watch-demo"}:
            self.board()
        if message["type"] == "join-demo":
            self.rank(message["data"]["userId"])
        if message["type"] == "ping":
            self.say("pong", t=message["data"].get("t"), serverTime=0)

    def say(self, kind: str, **data: Any) -> None:
        """Send one message to the page."""
        self.sockets[-1].send(json.dumps({"type": kind, "data": data}))

    def board(self, *scores: tuple[str, int], **more: Any) -> None:
        """Send a board of (user, score) in order of rank; without scores the last one."""
        if scores:
            self.rows = [
                {"rank": 1 + sum(other > score for _, other in scores), "userId": user, "username": user.title(),
                 "avatar": "🦊", "color": "#0072b2", "score": score, "isConnected": True}
                for user, score in scores
            ]  # fmt: skip
        data = {
            "version": self.version, "updates": 1, "epoch": "one", "leaderboard": self.rows,
            "totalPlayers": len(self.rows), "totalParticipants": 1, "lastUpdate": None, "degraded": False,
        }  # fmt: skip
        self.say("leaderboard-update", **(data | more))

    def rank(self, user: str, **more: Any) -> None:
        """Tell a user its rank."""
        own = next((row for row in self.rows if row["userId"] == user), {"score": 0, "rank": None})
        data = {"userId": user, "score": own["score"], "rank": own["rank"], "version": self.version, "epoch": "one"}
        self.say("user-rank-update", **(data | more))

    def sent(self, kind: str) -> list[dict[str, Any]]:
        """The data of everything of that type that the page sent, over all sockets."""
        return [message["data"] for message in self.heard if message["type"] == kind]


@pytest.fixture
async def stage() -> Stage:
    """A service that the test plays."""
    return Stage()


@pytest.fixture
async def on_stage(visit: Visit, stage: Stage) -> Visit:
    """Open the page, with a query, before a service that the test plays, and wait until it is live, or else.

    In a page that is `lasting`, what would go or change after two seconds or more stays until it has been looked at,
    however slow the machine is. The other options are those of `visit`.
    """
    host = "http://page.test"

    async def prepare(page: Page) -> None:
        await page.route("**/*", stage.serve)
        await page.route_web_socket("**/ws", stage.connected)

    async def open_page(
        query: str = "",
        until: str = "live",
        *,
        page: Page | None = None,
        lasting: bool = False,
        **options: Any,
    ) -> Page:
        if page:
            stage.forget()
        page = await visit(f"{host}/{query}", page=page, prepare=prepare, **options)
        await page.wait_for_selector(f"html[data-connection={until}]")
        if lasting:
            await page.evaluate(LASTING)
        return page

    return open_page
