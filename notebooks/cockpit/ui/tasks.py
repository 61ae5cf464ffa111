"""Background tasks with an owner: each one that fails is reported, none outlives its owner.

Law of the file: all of an owner's work runs on the loop that the owner was made on. A widget's
callback need not: ipykernel 7 delivers a message from the browser on another thread with a loop of
its own (a subshell) when the widget was last written to by work that such a message had started.
So a callback starts nothing by itself; it asks here, with `call` or `begin`.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

Report = Callable[[str, BaseException], None]


class Tasks:
    """Starts tasks, calls `report(name, error)` for each that fails, and ends them all. Made on the owner's loop.

    In a notebook a failed background task is silent: asyncio reports it when the task is collected,
    if ever. Here it is reported when it ends.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._loop = asyncio.get_running_loop()
        # The kernel keeps in the context which message is being handled and routes a widget's next message by it:
        # work in the context of a click would draw the clicks that follow to the click's thread.
        self._context = contextvars.copy_context()
        self._running: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run `work`; `name` says what it does ("drawing the charts").

        Raises `RuntimeError` on another loop than the owner's; use `begin` there.
        """
        if asyncio.get_running_loop() is not self._loop:
            work.close()
            raise RuntimeError(f"{name} was started on another event loop than its owner's")
        task = self._loop.create_task(work, name=name, context=self._context.copy())
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def begin(self, work: Callable[[], Coroutine[Any, Any, Any]], name: str) -> None:
        """From any thread: start what `work` returns, soon."""
        self.call(lambda: self.start(work(), name), name)

    def call(self, function: Callable[[], object], name: str) -> None:
        """From any thread: call `function` on the owner's loop, soon; a failure is reported under `name`."""
        self._loop.call_soon_threadsafe(self._call, function, name, context=self._context.copy())

    async def cancel(self) -> None:
        """End every task but the calling one and wait until all have ended."""
        mine = asyncio.current_task()
        others = [task for task in self._running if task is not mine]
        for task in others:
            task.cancel()
        # _ended has reported their failures.
        await asyncio.gather(*others, return_exceptions=True)

    def _call(self, function: Callable[[], object], name: str) -> None:
        try:
            function()
        except Exception as error:  # noqa: BLE001 - reported, like a task's
            self._report(name, error)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._report(task.get_name(), error)
