"""A process and all that it started, without a look at every process of the machine."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

import psutil

PROC: Final = Path("/proc")
KERNEL_TELLS: Final = Path("/proc/self/task").is_dir() and any(Path("/proc/self/task").glob("*/children"))


def with_children(pid: int) -> list[int]:
    """Its id and those of its children and theirs. Raises `psutil.Error` where there is no such process."""
    if not KERNEL_TELLS:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    if not (PROC / str(pid)).exists():
        raise psutil.NoSuchProcess(pid)
    processes = [pid]
    for parent in processes:  # which grows
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it, or a thread of it, has ended
            for thread in (PROC / str(parent) / "task").iterdir():
                processes += map(int, (thread / "children").read_text().split())
    return processes
