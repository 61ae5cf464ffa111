"""Locust's own web UI as a child of the kernel."""

from __future__ import annotations

import asyncio

from cockpit.host.processes import started
from cockpit.runs.load_run import OwnedCommand
from loadtest.load.locust_launcher import LOCUST
from loadtest.target.ports import free_port, is_served
from loadtest.target.processes import ServiceFailed

ANSWERS_WITHIN = 20.0  # seconds
POLL_TIME = 0.1  # seconds


class LocustWebUi:
    """At most one Locust with its web UI, on a free port of loopback."""

    def __init__(self) -> None:
        self._command: OwnedCommand | None = None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._command is not None and self._command.alive

    async def start(self, host: str | None) -> str:
        """Start it, with the service at `host` as its target, and return its address once it answers.

        Raises `ServiceFailed` when it ends, TimeoutError when it does not answer in time.
        """
        port = free_port()
        target = () if host is None else ("--host", host)
        where = ("--web-host", "127.0.0.1", "--web-port", str(port))
        arguments = (*LOCUST, *where, *target)
        self._command = command = await started(lambda: OwnedCommand("Locust", *arguments))
        async with asyncio.timeout(ANSWERS_WITHIN):
            while not is_served(port):
                if not command.alive:
                    raise ServiceFailed("Locust ended:\n" + "\n".join(command.log[-5:]))
                await asyncio.sleep(POLL_TIME)
        return f"http://127.0.0.1:{port}"

    async def close(self) -> None:
        """End it; without effect when it does not run."""
        if self._command is not None:
            await asyncio.to_thread(self._command.stop)
