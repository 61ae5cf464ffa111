"""The process that owns a desk ends, and all that the desk has started ends with it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from process_family import is_locust, runs
from wide import first_of

pytestmark = pytest.mark.starts_process

ROOT = Path(__file__).parents[3]
PATH = os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(ROOT), str(ROOT / "notebooks")])


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("how", first_of(signal.SIGKILL, signal.SIGINT))
async def test_all_of_a_desk_ends_with_its_kernel(how: signal.Signals, tmp_path: Path) -> None:
    """However the process that owns a desk ends, service, workers, Redis, swarm and Locust end too.

    The owner has loaded neither Locust nor gevent, and installed no handler of SIGTERM.
    """
    owner = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).with_name("desk_owner.py")), str(tmp_path),
        env=os.environ | {"PYTHONPATH": PATH}, cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    async with asyncio.timeout(90):  # nine processes start: five seconds of a processor that others use as well
        printed = [int(pid) for pid in (await owner.stdout.readline()).split()]
    family = psutil.Process(owner.pid).children(recursive=True)
    assert len(printed) == 3
    assert set(printed) <= {child.pid for child in family}
    assert [child for child in family if is_locust(child)]
    owner.send_signal(how)
    await owner.wait()
    await until(lambda: not [child for child in family if runs(child)])
