"""uvicorn as this service runs it: its configuration, and the server in this process."""

from __future__ import annotations

import signal
import socket

import uvicorn
from fastapi import FastAPI

from service.core.protocol import MAX_FRAME
from service.server.http_protocol import http_protocol
from service.server.listening_socket import announce
from service.server.logging_config import configuration
from service.server.request_bounds import RequestBounds
from service.server.stop_signals import call_when_stdin_closes
from service.server.uvicorn_protocol import protocol_class
from service.settings import Settings


def configure(settings: Settings, app: FastAPI | str) -> uvicorn.Config:
    """The configuration of uvicorn: what the wire contract requires, and the protocol class for cheap fan-out."""
    return uvicorn.Config(
        app,
        workers=settings.workers,
        reload=settings.reload,
        http=http_protocol(RequestBounds()),
        loop="service.server.paced_accept:new_event_loop",
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


class LeaderboardServer(uvicorn.Server):
    """A uvicorn server that prints its address, and stops when its parent has ended."""

    def __init__(self, config: uvicorn.Config, settings: Settings) -> None:
        super().__init__(config)
        self._settings = settings

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._settings.until_stdin_closes:
            call_when_stdin_closes(self._stop)
        if sockets:
            announce(sockets[0])

    def _stop(self) -> None:
        self.should_exit = True


def serve(config: uvicorn.Config, settings: Settings, listener: socket.socket) -> int:
    """Serve in this process, and return the exit status."""
    try:
        LeaderboardServer(config, settings).run(sockets=[listener])
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0
