"""What a test asks of processes that others have started, and that may end while they are asked about."""

from __future__ import annotations

import contextlib

import psutil

from loadtest.load.locust_launcher import LOCUST_SCRIPT


def runs(process: psutil.Process) -> bool:
    """Whether it has not ended yet."""
    with contextlib.suppress(psutil.NoSuchProcess):  # it may end between the two questions
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def is_locust(process: psutil.Process) -> bool:
    """Whether it is a Locust of the kit."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return LOCUST_SCRIPT in process.cmdline()
    return False
