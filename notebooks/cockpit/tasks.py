"""Background tasks with an owner: each one that fails is reported, none outlives its owner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

Report = Callable[[str, BaseException], None]


class Tasks:
    """Starts tasks, tells `report(name, error)` of each that fails, and ends them all.

    A failed background task says nothing in a notebook: asyncio mentions it when the task is
    collected, if ever. Here the report comes the moment the task ends.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._running: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run `work` on the running loop; `name` says in words what it does ("drawing the charts")."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def cancel(self) -> None:
        """End every task but the calling one and wait until all have ended."""
        mine = asyncio.current_task()
        others = [task for task in self._running if task is not mine]
        for task in others:
            task.cancel()
        # Their failures were reported by _ended; here only the end counts.
        await asyncio.gather(*others, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._report(task.get_name(), error)
