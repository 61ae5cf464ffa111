"""How a process learns that it is to stop, and what it does before it does."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType


class Draining:
    """Whether the process has been told to stop, and goes on serving for a while without taking on anybody new."""

    def __init__(self) -> None:
        self.begun = False

    def on_signal(self, seconds: float) -> None:
        """From now on the first signal to stop is heeded that much later; a second one at once.

        Whatever server runs the app has its own handlers in place, and they have the last word. Outside
        the main thread, where no signal arrives, nothing is done.
        """
        if not seconds or threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        heed = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

        def drain(number: int, frame: FrameType | None) -> None:
            handler = heed[signal.Signals(number)]
            assert callable(handler)
            if self.begun:
                handler(number, frame)
                return
            self.begun = True
            loop.call_soon_threadsafe(loop.call_later, seconds, handler, number, frame)

        for number, handler in heed.items():
            if callable(handler):
                signal.signal(number, drain)


def stop_with_parent() -> None:
    """A worker of several stops when the process that started them is gone, however that ended."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def call_when_stdin_closes(callback: Callable[[], None]) -> None:
    """Call back, in a thread of its own, when nobody can write to this process any more.

    Read, not polled: the pipe ends when the parent does, even when it was killed.
    """

    def wait() -> None:
        while os.read(0, 4096):
            pass
        callback()

    threading.Thread(target=wait, name="stdin", daemon=True).start()
