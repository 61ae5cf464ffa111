"""The listening address, of one process or of several."""

from __future__ import annotations

import socket
from functools import partial
from typing import Any

from service.settings import BadSetting, Settings


def is_everywhere(host: str) -> bool:
    """Whether the host stands for all addresses of this machine."""
    return host in {"0.0.0.0", "::"}


def url_of(listener: socket.socket) -> str:
    """The URL to open; for a service on all addresses, the loopback one."""
    host, port = listener.getsockname()[:2]
    if is_everywhere(host):
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def announce(listener: socket.socket) -> None:
    """Print the address to open: the first line of the command, which a parent process reads."""
    print(url_of(listener), flush=True)  # noqa: T201 - a command prints


def bind(settings: Settings) -> socket.socket:
    """A socket bound to the address. Raises `BadSetting` if the port is taken or the host is not this machine's."""
    try:
        return _bound(settings.host, settings.port, shared=settings.workers > 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadSetting(f"cannot listen on {settings.host} port {settings.port}: {reason}") from None


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    """A socket bound to the address; several `shared` sockets may be bound to one. Raises OSError."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    listener.set_inheritable(True)
    return listener


class SocketPerWorker:
    """Stands for a listening socket in the data sent to a worker; unpickled there, it becomes a new socket.

    If all workers waited on one socket, the same one would get nearly every connection. The kernel
    spreads connections evenly over separate sockets.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._address = listener.getsockname()[:2]

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(_bound, shared=True), self._address
