"""`python -m service`: the service, with the fan-out extension, from the command line."""

from __future__ import annotations

from service.server.interrupt import end_quietly_on_interrupt

if __name__ == "__main__":  # what follows takes a moment to load
    end_quietly_on_interrupt()

import argparse
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from service.core.local_addresses import folder_of
from service.server.listening_socket import bind, is_everywhere
from service.server.open_files import raise_file_limit
from service.server.uvicorn_server import configure, serve
from service.server.worker_processes import supervise
from service.settings import BadSetting, Settings
from service.stores.embedded_redis import EmbeddedServer, NoServer

SPARE_FILES = 64  # descriptors not used by players


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """The settings: the command line overrides the environment. Raises `BadSetting`."""
    parser = argparse.ArgumentParser(
        prog="python -m service",
        description="The leaderboard service. Every option can also be set as LEADERBOARD_NAME in the environment.",
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
    """The settings, adapted to this machine. Raises `BadSetting` if the service must not or cannot start."""
    if settings.workers > 1 and (settings.reload or not hasattr(socket, "SO_REUSEPORT")):
        other = "--reload" if settings.reload else "a system on which processes cannot share a port"
        raise BadSetting(f"--workers: expected 1 with {other}, got {settings.workers}")
    if not settings.listens_on_loopback and settings.admin_token is None and not settings.open_admin:
        raise BadSetting(
            f"--host: expected a loopback address, or --admin-token (or --open-admin) as well, got {settings.host}"
        )
    return _within_file_limit(settings)


def _within_file_limit(settings: Settings) -> Settings:
    granted = raise_file_limit()
    if settings.max_connections + SPARE_FILES <= granted:
        return settings
    possible = int(granted) - SPARE_FILES
    if "max_connections" in settings.model_fields_set:
        raise BadSetting(
            f"--max-connections: expected at most {possible}, because this process may open {granted:.0f} files, "
            f"got {settings.max_connections}; `ulimit -Hn {settings.max_connections + SPARE_FILES}` raises the limit"
        )
    return settings.model_copy(update={"max_connections": possible})


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped; return the exit status."""
    try:
        settings = check(parse(arguments))
        listener = bind(settings)
    except BadSetting as error:
        print(f"leaderboard: {error}", file=sys.stderr)
        return 2
    if is_everywhere(settings.host):
        print(
            "leaderboard: other machines reach it by this machine's IP address; a host name needs --allowed-host",
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
    """Run the embedded Redis, if one is configured, for all serving processes. Raises `NoServer`."""
    settings.to_environment()
    folder = None if settings.redis_url is None else folder_of(settings.redis_url)
    if folder is None:
        yield
        return
    with EmbeddedServer(folder) as server:
        settings.model_copy(update={"redis_url": server.url}).to_environment()
        yield


def _serve(settings: Settings, listener: socket.socket) -> int:
    # The same app as under `uvicorn service.main:app`, imported only now that the environment is complete.
    from service.main import app  # noqa: PLC0415

    if settings.reload or settings.workers > 1:
        return supervise(configure(settings, "service.main:app"), settings, listener)
    return serve(configure(settings, app), settings, listener)


if __name__ == "__main__":
    sys.exit(main())
