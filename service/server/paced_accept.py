"""Accepting connections at the pace at which they are served: the event loop of this service.

libuv and asyncio accept all that wait in one iteration of the loop, which holds everybody else for as long. Here only
a few are accepted in one, and none while too many are open that are not WebSockets yet (`doorway`). The others wait in
the kernel's queue.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any, Final

from service.server.doorway import AT_ONCE, doorway_of

PAUSE: Final = 0.02  # seconds until a full doorway is looked at again
TLS_SECONDS: Final = 10.0  # for the handshake

WITHOUT_BOUNDS: Final = (
    "this server does not bound what `python -m service` does: the size and the time of a request's head, silent "
    "connections, connections that are no WebSockets yet, pings and fragments; options of uvicorn that bound some of "
    "it: --http h11 --h11-max-incomplete-event-size 16384, --limit-concurrency, --timeout-keep-alive, "
    "--ws-max-size 4096, --ws-ping-interval, --ws-per-message-deflate false, --no-access-log; handshakes with a "
    "cookie over 8 KB need WEBSOCKETS_MAX_LINE_LENGTH=16384 in the environment"
)

log = logging.getLogger("leaderboard.http")


class Acceptor:
    """Accepts from one listening socket until it is closed: as much of `asyncio.Server` as uvicorn uses."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listener: socket.socket,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        tls: Any = None,
    ) -> None:
        self.sockets = (listener,)
        self._loop = loop
        self._listener = listener
        self._factory = protocol_factory
        self._tls: dict[str, Any] = {} if tls is None else {"ssl": tls, "ssl_handshake_timeout": TLS_SECONDS}
        self._doorway = doorway_of(loop)
        self._arriving: set[asyncio.Task[None]] = set()
        self._resumption: asyncio.TimerHandle | None = None

    def listen(self, backlog: int) -> None:
        """Begin to accept."""
        self._listener.setblocking(False)
        self._listener.listen(backlog)
        self._resume()

    def close(self) -> None:
        """Accept no more."""
        if self._listener.fileno() >= 0:
            self._pause_for(None)
            self._listener.close()

    async def wait_closed(self) -> None:
        """Wait for those that were being accepted."""
        for task in self._arriving:
            task.cancel()
        if self._arriving:
            await asyncio.wait(self._arriving)

    def _resume(self) -> None:
        self._loop.add_reader(self._listener, self._accept_some)

    def _pause_for(self, seconds: float | None) -> None:
        """Accept none for so long, or never again."""
        if self._resumption is not None:
            self._resumption.cancel()
        self._loop.remove_reader(self._listener)
        self._resumption = None if seconds is None else self._loop.call_later(seconds, self._resume)

    def _accept_some(self) -> None:
        for _ in range(AT_ONCE):
            if not self._doorway.has_room(len(self._arriving)):
                self._pause_for(PAUSE)
                return
            try:
                connection, _address = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue  # it was given up while it waited
            except OSError as error:
                self._has_no_files(error)
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._connect(connection))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._factory, connection, **self._tls)
        except OSError:  # it ended, or its TLS failed
            connection.close()

    def _has_no_files(self, error: OSError) -> None:
        log.warning(
            "cannot accept a connection: %s; a higher limit of open files (`ulimit -n`) lets more in",
            error.strerror,
            extra={"event": "no-more-files"},
        )
        # So many are too many: from now on, newcomers take the places of silent ones.
        self._doorway.shrink()
        self._pause_for(PAUSE)


class _PacedAccept:
    """Mixed into an event loop: a server on a given socket accepts at its pace."""

    async def create_server(self, protocol_factory: Any, *rest: Any, **named: Any) -> Any:
        listener = named.get("sock")
        if rest or listener is None:
            return await super().create_server(protocol_factory, *rest, **named)  # type: ignore[misc]
        acceptor = Acceptor(self, listener, protocol_factory, named.get("ssl"))  # type: ignore[arg-type]
        acceptor.listen(named.get("backlog", 100))
        return acceptor


def new_event_loop() -> asyncio.AbstractEventLoop:
    """The event loop of this service: uvloop where it is installed, with paced accepting."""
    try:
        from uvloop import Loop as Base  # noqa: PLC0415
    except ImportError:
        from asyncio import SelectorEventLoop as Base  # type: ignore[assignment] # noqa: PLC0415
    loop: asyncio.AbstractEventLoop = type("PacedLoop", (_PacedAccept, Base), {})()
    return loop


def warn_without_bounds() -> None:
    """Log what another server than `python -m service` does not bound, and by which of uvicorn's options it can."""
    if not isinstance(asyncio.get_running_loop(), _PacedAccept):
        logging.getLogger("leaderboard").warning(WITHOUT_BOUNDS, extra={"event": "no-bounds"})
