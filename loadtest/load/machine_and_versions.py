"""What a run says of the machine and the versions that it ran on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil


def this_environment() -> dict[str, Any]:
    """The machine and the versions, without anything that names the machine or its owner."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "usableCpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "memoryBytes": psutil.virtual_memory().total,
        "versions": {name: version(name) for name in ("locust", "gevent", "websockets", "numpy")},
    }


def this_system() -> str:
    """Whose process ids these are. Not for files: it names the machine until its next start."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return platform.node()
