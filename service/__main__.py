"""`python -m service`: the service with everything that makes it fast, from the command line."""

from __future__ import annotations

import argparse
import asyncio
import logging
import logging.config
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import ChangeReload

from service.core.protocol import MAX_FRAME
from service.logs import configuration
from service.settings import BadSetting, Settings
from service.wire import protocol_class

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


class Server(uvicorn.Server):
    """A uvicorn server that says where it is, drains first, and stops when its parent is gone."""

    def __init__(self, config: uvicorn.Config, settings: Settings, app: FastAPI) -> None:
        super().__init__(config)
        self._settings = settings
        self._app = app
        self._drain: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self._settings.until_stdin_closes:
            call_when_stdin_closes(self._stop)
        if sockets:
            print(url_of(sockets[0]), flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._settings.drain_seconds and self._loop is not None and self._drain is None:
            self._captured_signals.append(sig)
            self._loop.call_soon_threadsafe(self._begin_draining)
            return
        super().handle_exit(sig, frame)

    def _begin_draining(self) -> None:
        assert self._loop is not None
        self._app.state.draining.begun = True
        self._drain = self._loop.call_later(self._settings.drain_seconds, self._stop)

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


def is_everywhere(host: str) -> bool:
    """Whether the host stands for all addresses of this machine."""
    return host in {"0.0.0.0", "::"}


def url_of(listener: socket.socket) -> str:
    """The address to open; a service on all addresses is reached on this machine's own."""
    host, port = listener.getsockname()[:2]
    if is_everywhere(host):
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def bind(settings: Settings) -> socket.socket:
    """A listening socket. Raises `BadSetting` when the port is taken or the host is none of ours."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise BadSetting(f"cannot listen on {settings.host} port {settings.port}: {reason}") from None
    listener.set_inheritable(True)
    return listener


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
    settings.to_environment()
    # The road of `uvicorn service.main:app`, taken only now that the environment says it all.
    from service.main import app  # noqa: PLC0415

    if settings.reload:
        _run_reloading(settings, listener)
        return 0
    try:
        Server(configure(settings, app), settings, app).run(sockets=[listener])
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _run_reloading(settings: Settings, listener: socket.socket) -> None:
    config = configure(settings, "service.main:app")
    supervisor = ChangeReload(config, target=uvicorn.Server(config).run, sockets=[listener])
    if settings.until_stdin_closes:
        call_when_stdin_closes(supervisor.should_exit.set)
    listener.listen(config.backlog)
    print(url_of(listener), flush=True)
    supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
