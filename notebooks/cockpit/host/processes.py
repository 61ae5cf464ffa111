"""The service, and a Redis, as children of the kernel: started and ended without holding up the kernel's loop."""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self, TypeVar

from loadtest.target.http_client import async_client
from loadtest.target.processes import RedisServer, Service, ServiceFailed

WITH_REDIS = "COCKPIT_REDIS"  # in the environment, as 1: demos have a Redis by default
WATCH_EVERY = 0.25  # seconds
ANSWER_WITHIN = 5.0  # seconds


class Stoppable(Protocol):
    """What `started` starts and, unwanted, ends."""

    def stop(self) -> object:
        """End it and wait until it has ended."""


Started = TypeVar("Started", bound=Stoppable)


class ServiceProcess:
    """A running service that this kernel owns.

    It ends with `stop`, with the interpreter (atexit), and when the kernel dies in any other way,
    by SIGKILL too: `loadtest.target.processes` gives the child a pipe that the operating system then closes.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._stopping = False
        atexit.register(service.stop)

    @classmethod
    async def start(cls, *arguments: str, **settings: str) -> Self:
        """Start `python -m service` with `arguments` on a free port; raises `ServiceFailed` with its last words.

        `settings`, which the arguments override, go through the environment, which no list of processes shows.
        """
        environment = {f"LEADERBOARD_{name.upper()}": value for name, value in settings.items()}
        return cls(await started(lambda: Service(arguments, environment=environment)))

    @property
    def url(self) -> str:
        """`http://127.0.0.1:port`, without a slash at the end."""
        return self._service.url.rstrip("/")

    @property
    def ws_url(self) -> str:
        """`ws://127.0.0.1:port/ws`."""
        return self._service.ws_url

    @property
    def pid(self) -> int:
        """The process id of the service."""
        return self._service.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._service.alive

    async def watch(self) -> None:
        """Return when the service was stopped by `stop`; raise `ServiceFailed` when it ends by itself."""
        # A look at the process table costs nothing, and it is no child of this loop that could be awaited.
        while self._service.alive:  # noqa: ASYNC110
            await asyncio.sleep(WATCH_EVERY)
        if not self._stopping:
            last = "\n".join(self._service.log[-5:])
            raise ServiceFailed(f"the service ended by itself with status {self._service.process.returncode}\n{last}")

    async def stop(self) -> None:
        """End it and wait until it has ended; the second time does nothing."""
        self._stopping = True
        await asyncio.to_thread(self._service.stop)
        atexit.unregister(self._service.stop)


class RedisProcess:
    """A private Redis of this kernel, which can be stopped and started again; every start finds it empty.

    It ends as `ServiceProcess` does.
    """

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._switching = threading.Lock()
        self._ended = False
        atexit.register(self._end)

    @classmethod
    async def start(cls) -> Self:
        """Start one; raises `ServiceFailed` where there is none to start."""
        return cls(await started(RedisServer))

    @property
    def url(self) -> str:
        """The URL of its unix socket, the same for its whole life."""
        return self._server.url

    @property
    def pid(self) -> int:
        """The process id of the server; another one after each start."""
        return self._server.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._server.alive

    async def switch_off(self) -> None:
        """Shut it down, as SHUTDOWN does."""
        await asyncio.to_thread(self._switch_off)

    async def switch_on(self) -> None:
        """Start it again, empty, at the same URL; raises `ServiceFailed`."""
        await asyncio.to_thread(self._switch_on)

    async def stop(self) -> None:
        """End it for good and wait until it has ended; the second time does nothing."""
        await asyncio.to_thread(self._end)
        atexit.unregister(self._end)

    # These run in threads, which cannot be called back: a lock puts the end behind a start that is under way.

    def _switch_off(self) -> None:
        with self._switching:
            self._server.stop()

    def _switch_on(self) -> None:
        with self._switching:
            if not self._ended and not self._server.alive:
                self._server.stop()  # lets go of what is left of one that ended by itself
                self._server.start()

    def _end(self) -> None:
        self._ended = True
        self._switch_off()


async def post(url: str, admin_token: str = "") -> Mapping[str, Any]:
    """POST without a body and return the JSON answer; raises `httpx.HTTPError` when there is none or it is an error."""
    return await _call("POST", url, admin_token)


async def get(url: str) -> Mapping[str, Any]:
    """GET the JSON at `url`; raises `httpx.HTTPError` when there is none or it is an error."""
    return await _call("GET", url)


async def _call(method: str, url: str, admin_token: str = "") -> Mapping[str, Any]:
    headers = {b"Authorization": f"Bearer {admin_token}".encode()} if admin_token else {}
    async with async_client(url, timeout=ANSWER_WITHIN) as http:
        answer = await http.request(method, url, headers=headers)
        body: Mapping[str, Any] = answer.raise_for_status().json()
    return body


async def started(start: Callable[[], Started]) -> Started:
    """What `start` returns, called in a thread."""
    starting = asyncio.ensure_future(asyncio.to_thread(start))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # The thread cannot be called back, so what it starts is ended as soon as it is there.
        starting.add_done_callback(_end_unwanted)
        raise


def _end_unwanted(starting: asyncio.Future[Any]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().stop()
