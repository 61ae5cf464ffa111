"""The service as a child of the kernel: started and ended without holding up the kernel's loop."""

from __future__ import annotations

import asyncio
import atexit
import json
import urllib.request
from collections.abc import Mapping
from typing import Any, Self

from loadtest.drive import Service, ServiceFailed

WATCH_EVERY = 0.25  # seconds
ANSWER_WITHIN = 5.0  # seconds


class ServiceProcess:
    """A running service that this kernel owns.

    It ends with `stop`, with the interpreter (atexit), and when the kernel dies in any other way,
    by SIGKILL too: `loadtest.drive` gives the child a pipe that the operating system then closes.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._stopping = False
        atexit.register(service.stop)

    @classmethod
    async def start(cls, *arguments: str) -> Self:
        """Start `python -m service` with `arguments` on a free port; raises `ServiceFailed` with its last words."""
        starting = asyncio.ensure_future(asyncio.to_thread(Service, arguments))
        try:
            return cls(await asyncio.shield(starting))
        except asyncio.CancelledError:
            # The thread cannot be called back, so what it starts is ended as soon as it is there.
            starting.add_done_callback(_end_unwanted)
            raise

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


async def post(url: str) -> Mapping[str, Any]:
    """POST without a body and return the JSON answer; raises `OSError` when there is none or it is an error."""
    return await asyncio.to_thread(_call, _request(url, "POST"))


async def get(url: str) -> Mapping[str, Any]:
    """GET the JSON at `url`; raises `OSError` when there is none."""
    return await asyncio.to_thread(_call, _request(url, "GET"))


def _request(url: str, method: str) -> urllib.request.Request:
    return urllib.request.Request(url, method=method)  # noqa: S310 - the address of our own service


def _call(request: urllib.request.Request) -> Mapping[str, Any]:
    # No proxy, whatever the environment says: the service is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=ANSWER_WITHIN) as answer:
        body: Mapping[str, Any] = json.load(answer)
    return body


def _end_unwanted(starting: asyncio.Future[Service]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().stop()
