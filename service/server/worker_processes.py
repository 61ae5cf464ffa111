"""Serving from other processes: several workers behind one port, or one that restarts when the code changes."""

from __future__ import annotations

import socket
from typing import cast

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import ChangeReload, Multiprocess

from service.server.listening_socket import SocketPerWorker, announce
from service.server.stop_signals import call_when_stdin_closes
from service.settings import Settings


class Workers(Multiprocess):
    """Several serving processes; this process supervises them and prints their address."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket) -> None:
        # This process does not listen; the socket only reserves the port.
        super().__init__(config, cast("list[socket.socket]", [SocketPerWorker(listener)]))
        self._listener = listener

    @property
    def failed(self) -> bool:
        """Whether supervision ended because a worker could not start."""
        return any(process.exitcode == STARTUP_FAILURE for process in self.processes)

    def init_processes(self) -> None:
        super().init_processes()
        for process in self.processes:
            process.wait_until_ready(self.config.timeout_worker_healthcheck, self.should_exit)
        announce(self._listener)


def supervise(config: uvicorn.Config, settings: Settings, listener: socket.socket) -> int:
    """Serve from other processes; return the exit status. `config` names the app as `module:name`."""
    supervisor = (
        Workers(config, listener)
        if settings.workers > 1
        else ChangeReload(config, target=uvicorn.Server(config).run, sockets=[listener])
    )
    if settings.reload:
        # A client that connects before the other process serves only has to wait a moment.
        listener.listen(config.backlog)
        announce(listener)
    if settings.until_stdin_closes:
        call_when_stdin_closes(supervisor.should_exit.set)
    supervisor.run()
    return STARTUP_FAILURE if isinstance(supervisor, Workers) and supervisor.failed else 0
