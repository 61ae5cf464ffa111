"""`python -m service`: the service with everything that makes it fast, from the command line."""

from __future__ import annotations

import argparse
import logging
import logging.config
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import ChangeReload, Multiprocess

from service.core.addresses import folder_of
from service.core.protocol import MAX_FRAME
from service.server.listening_socket import SocketPerWorker, bind, is_everywhere, url_of
from service.server.logging_config import configuration
from service.server.uvicorn_protocol import protocol_class
from service.settings import BadSetting, Settings
from service.stores.embedded_redis import EmbeddedServer, NoServer

SPARE_FILES = 64  # descriptors that are no player's
log = logging.getLogger("leaderboard")


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """The settings from the command line over the environment. Raises `BadSetting`."""
    parser = argparse.ArgumentParser(
        prog="python -m service",
        description="The leaderboard service. Every option is also a variable LEADERBOARD_NAME in the environment.",
        allow_abbrev=False,
    )
    for name, field in Settings.model_fields.items():
        given = "" if field.default in {None, ()} else f" (default {field.default})"
        kind: dict[str, Any] = {"help": f"{field.description}{given}", "default": argparse.SUPPRESS, "dest": name}
        if field.annotation is bool:
            kind["action"] = argparse.BooleanOptionalAction
        elif isinstance(field.default, tuple):
            kind |= {"action": "append", "metavar": "X"}
        else:
            kind["metavar"] = "X"
        parser.add_argument(f"--{name.replace('_', '-')}", **kind)
    return Settings.read(**vars(parser.parse_args(arguments)))


def check(settings: Settings) -> Settings:
    """The settings as this machine can carry them. Raises `BadSetting` for what must not or cannot be started."""
    if settings.workers > 1 and (settings.reload or not hasattr(socket, "SO_REUSEPORT")):
        other = "--reload" if settings.reload else "a system on which processes cannot share a port"
        raise BadSetting(f"--workers: expected 1 with {other}, got {settings.workers}")
    if not settings.listens_on_loopback and settings.admin_token is None and not settings.open_admin:
        raise BadSetting(
            f"--host: expected a loopback address, or --admin-token (or --open-admin) beside it, got {settings.host}"
        )
    return _within_file_limit(settings)


def _within_file_limit(settings: Settings) -> Settings:
    try:
        import resource  # noqa: PLC0415 - not on every platform
    except ImportError:  # Windows has no such limit
        return settings
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    possible = hard - SPARE_FILES
    if hard == resource.RLIM_INFINITY or settings.max_connections <= possible:
        return settings
    if "max_connections" in settings.model_fields_set:
        raise BadSetting(
            f"--max-connections: expected at most {possible}, as this process may open {hard} files, "
            f"got {settings.max_connections}; `ulimit -Hn {settings.max_connections + SPARE_FILES}` raises the limit"
        )
    return settings.model_copy(update={"max_connections": possible})


class LeaderboardServer(uvicorn.Server):
    """A uvicorn server that says where it is, and stops when its parent is gone."""

    def __init__(self, config: uvicorn.Config, settings: Settings) -> None:
        super().__init__(config)
        self._settings = settings

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._settings.until_stdin_closes:
            call_when_stdin_closes(self._stop)
        if sockets:
            print(url_of(sockets[0]), flush=True)

    def _stop(self) -> None:
        self.should_exit = True


def call_when_stdin_closes(callback: Callable[[], None]) -> None:
    """Call back, in a thread of its own, when nobody can write to this process any more.

    Read, not polled: the pipe ends when the parent does, even when it was killed.
    """

    def wait() -> None:
        while os.read(0, 4096):
            pass
        callback()

    threading.Thread(target=wait, name="stdin", daemon=True).start()


class Workers(Multiprocess):
    """Several processes that serve, and this one, which looks after them and says where they are."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket) -> None:
        # It is not listened to here: it keeps the port as long as no worker does.
        super().__init__(config, cast("list[socket.socket]", [SocketPerWorker(listener)]))
        self._url = url_of(listener)

    @property
    def failed(self) -> bool:
        """Whether it ended because a worker could not start."""
        return any(process.exitcode == STARTUP_FAILURE for process in self.processes)

    def init_processes(self) -> None:
        super().init_processes()
        for process in self.processes:
            process.wait_until_ready(self.config.timeout_worker_healthcheck, self.should_exit)
        print(self._url, flush=True)


def configure(settings: Settings, app: FastAPI | str) -> uvicorn.Config:
    """The configuration of uvicorn: what the wire contract needs, and the class that makes fan-out cheap."""
    return uvicorn.Config(
        app,
        workers=settings.workers,
        reload=settings.reload,
        ws=protocol_class() or "websockets-sansio",
        ws_max_size=MAX_FRAME,
        ws_per_message_deflate=False,
        ws_ping_interval=20,
        ws_ping_timeout=20,
        timeout_graceful_shutdown=2,
        backlog=4096,
        access_log=False,
        server_header=False,
        log_config=configuration(as_json=settings.log_json),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; return the exit status."""
    try:
        settings = check(parse(arguments))
        listener = bind(settings)
    except BadSetting as error:
        print(f"leaderboard: {error}", file=sys.stderr)
        return 2
    if is_everywhere(settings.host):
        print(
            "leaderboard: others reach it by this machine's address, by a name only with --allowed-host",
            file=sys.stderr,
        )
    try:
        with _redis_of_our_own(settings):
            return _serve(settings, listener)
    except NoServer as error:
        print(f"leaderboard: {error}", file=sys.stderr)
        return 2


@contextmanager
def _redis_of_our_own(settings: Settings) -> Iterator[None]:
    """The embedded Redis, where one is wanted, for all the processes there will be. Raises `NoServer`."""
    settings.to_environment()
    folder = None if settings.redis_url is None else folder_of(settings.redis_url)
    if folder is None:
        yield
        return
    with EmbeddedServer(folder) as server:
        settings.model_copy(update={"redis_url": server.url}).to_environment()
        yield


def _serve(settings: Settings, listener: socket.socket) -> int:
    # The road of `uvicorn service.main:app`, taken only now that the environment says it all.
    from service.main import app  # noqa: PLC0415

    if settings.reload or settings.workers > 1:
        return _supervise(settings, listener)
    try:
        LeaderboardServer(configure(settings, app), settings).run(sockets=[listener])
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _supervise(settings: Settings, listener: socket.socket) -> int:
    """Let other processes serve: several, or one that begins anew when the code changes."""
    config = configure(settings, "service.main:app")
    supervisor = (
        Workers(config, listener)
        if settings.workers > 1
        else ChangeReload(config, target=uvicorn.Server(config).run, sockets=[listener])
    )
    if settings.reload:
        # Who connects before the other process serves waits a moment, no longer.
        listener.listen(config.backlog)
        print(url_of(listener), flush=True)
    if settings.until_stdin_closes:
        call_when_stdin_closes(supervisor.should_exit.set)
    supervisor.run()
    return STARTUP_FAILURE if isinstance(supervisor, Workers) and supervisor.failed else 0


if __name__ == "__main__":
    sys.exit(main())
