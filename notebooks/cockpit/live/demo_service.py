"""The service that a demo owns, with a Redis where it was asked for."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from cockpit.host.jupyter_proxy import JupyterServer, Way, public_hosts
from cockpit.host.processes import RedisProcess, ServiceProcess, get


@dataclass(frozen=True, slots=True)
class DemoService:
    """A running service: its process, its Redis or None, and what it says about itself.

    `people` are the demo users as (name, id); `way` leads from a browser to its page; `admin_token` is what Populate
    and Reset need: its own, made for this service, or the one in its arguments; empty where they need none.
    """

    process: ServiceProcess
    redis: RedisProcess | None
    storage: str
    people: tuple[tuple[str, str], ...]
    way: Way
    admin_token: str

    @classmethod
    async def start(cls, *arguments: str, redis: bool) -> Self:
        """Start it with `arguments`, as for `python -m service`.

        Raises `processes.ServiceFailed` when the service, or the Redis, does not start; nothing is left then.
        """
        jupyter = await asyncio.to_thread(JupyterServer.find)
        for host in public_hosts() if jupyter.proxies else ():
            arguments = ("--allowed-host", host, *arguments)
        token, settings = token_in(arguments), {}
        if token is None:
            settings["admin_token"] = token = secrets.token_hex(24)
        async with contextlib.AsyncExitStack() as started:
            server = None
            if redis:
                server = await RedisProcess.start()
                started.push_async_callback(server.stop)
                settings["redis_url"] = server.url
            process = await ServiceProcess.start(*arguments, **settings)
            started.push_async_callback(process.stop)
            about, health = await get(f"{process.url}/api/demo"), await get(f"{process.url}/health")
            people = tuple((person["username"], person["id"]) for person in about["availableUsers"])
            port = urlsplit(process.url).port
            assert port is not None
            service = cls(process, server, health["storage"], people, jupyter.way(port), token)
            started.pop_all()  # they are the caller's to end
        return service

    async def stop(self) -> None:
        """End the service, then its Redis."""
        await self.process.stop()
        if self.redis is not None:
            await self.redis.stop()


def token_in(arguments: Sequence[str]) -> str | None:
    """The admin token that the arguments give the service, empty where they open it to all, None where they do neither.

    A file that cannot be read is the service's to refuse.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--admin-token")
    parser.add_argument("--admin-token-file")
    parser.add_argument("--open-admin", action=argparse.BooleanOptionalAction)
    try:
        given, _ = parser.parse_known_args(arguments)
        if given.admin_token_file is not None:
            return Path(given.admin_token_file).read_text("utf-8-sig").strip()
    except (argparse.ArgumentError, OSError, UnicodeDecodeError):
        return ""
    return "" if given.open_admin and given.admin_token is None else given.admin_token
