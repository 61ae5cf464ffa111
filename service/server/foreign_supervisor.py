"""When another command supervises this process, as `uvicorn --workers 3` does: how many serve, and how to end it.

A worker that only exits is started again for ever, or ends the command with status 0. uvicorn's supervisor asks each
worker through a pipe whether it has started, and unpickles the answer. So a worker that must not serve gives an answer
that, unpickled, prints one line and ends the supervisor.
"""

from __future__ import annotations

import inspect
import multiprocessing
import sys
import time
from collections.abc import Callable
from typing import NoReturn

import uvicorn
from uvicorn.config import STARTUP_FAILURE

ASKED_WITHIN_SECONDS = 30.0


class _Refusal:
    """The answer of a worker that must not serve; it ends the process that unpickles it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __reduce__(self) -> tuple[Callable[[str], NoReturn], tuple[str]]:
        return _end_command, (self._text,)

    def __bool__(self) -> bool:
        return False


def serving_processes() -> int:
    """How many processes serve the app that is being imported."""
    server = _server_of_a_worker()
    return 1 if server is None else server.config.workers


def refuse_to_serve(text: str) -> NoReturn:
    """End the whole command with status 2 and `text`, a line, on stderr: this process, and what supervises it."""
    server = _server_of_a_worker()
    if server is None:
        _end_command(text)
    server.started = _Refusal(text)  # type: ignore[assignment]
    if _has_ended_within(ASKED_WITHIN_SECONDS, server):
        sys.exit(2)
    sys.stderr.write(text)  # the supervisor did not ask
    sys.exit(STARTUP_FAILURE)  # not started again


def _end_command(text: str) -> NoReturn:
    sys.stderr.write(text)
    for worker in multiprocessing.active_children():
        worker.terminate()
    sys.exit(2)


def _has_ended_within(seconds: float, server: uvicorn.Server) -> bool:
    """Whether the supervisor ends, or stops this worker, within the time."""
    supervisor, until = multiprocessing.parent_process(), time.monotonic() + seconds
    while supervisor is not None and supervisor.is_alive() and not server.should_exit:
        if time.monotonic() > until:
            return False
        supervisor.join(0.1)
    return True


def _server_of_a_worker() -> uvicorn.Server | None:
    """The server that imports the app, if a supervisor started it as one of several."""
    if multiprocessing.parent_process() is None:
        return None
    frame = inspect.currentframe()
    while frame is not None:
        server = frame.f_locals.get("self")
        if isinstance(server, uvicorn.Server):
            return server if server.config.workers > 1 and not server.config.should_reload else None
        frame = frame.f_back
    return None
