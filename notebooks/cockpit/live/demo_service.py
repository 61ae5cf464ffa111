"""The service that a demo owns, with a Redis where it was asked for."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from cockpit.host.jupyter_proxy import JupyterServer, Way, public_hosts
from cockpit.host.processes import RedisProcess, ServiceProcess, get


@dataclass(frozen=True, slots=True)
class DemoService:
    """A running service: its process, its Redis or None, and what it says about itself.

    `people` are the demo users as (name, id); `way` leads from a browser to its page.
    """

    process: ServiceProcess
    redis: RedisProcess | None
    storage: str
    people: tuple[tuple[str, str], ...]
    way: Way

    @classmethod
    async def start(cls, *arguments: str, redis: bool) -> Self:
        """Start it with `arguments`, as for `python -m service`.

        Raises `processes.ServiceFailed` when the service, or the Redis, does not start; nothing is left then.
        """
        jupyter = await asyncio.to_thread(JupyterServer.find)
        for host in public_hosts() if jupyter.proxies else ():
            arguments = ("--allowed-host", host, *arguments)
        async with contextlib.AsyncExitStack() as started:
            server = None
            if redis:
                server = await RedisProcess.start()
                started.push_async_callback(server.stop)
                arguments = ("--redis-url", server.url, *arguments)
            process = await ServiceProcess.start(*arguments)
            started.push_async_callback(process.stop)
            about, health = await get(f"{process.url}/api/demo"), await get(f"{process.url}/health")
            people = tuple((person["username"], person["id"]) for person in about["availableUsers"])
            port = urlsplit(process.url).port
            assert port is not None
            service = cls(process, server, health["storage"], people, jupyter.way(port))
            started.pop_all()  # they are the caller's to end
        return service

    async def stop(self) -> None:
        """End the service, then its Redis."""
        await self.process.stop()
        if self.redis is not None:
            await self.redis.stop()
