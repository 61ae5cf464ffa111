"""How a process learns that it must stop, and what it does first."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType


class Draining:
    """Whether the process received the signal to stop and now serves existing connections only, for a while."""

    def __init__(self) -> None:
        self.begun = False

    def on_signal(self, seconds: float) -> None:
        """Delay the first signal to stop by `seconds`; a second signal acts at once.

        The handlers of the server that runs the app stay in place and are called in the end. Outside the
        main thread, where no signal arrives, this does nothing.
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
    """Stop a worker process when its parent has ended, however it ended."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def call_when_stdin_closes(callback: Callable[[], None]) -> None:
    """Call back, from a separate thread, when stdin is closed.

    This reads and does not poll: the pipe closes when the parent ends, even if it was killed.
    """

    def wait() -> None:
        while os.read(0, 4096):
            pass
        callback()

    threading.Thread(target=wait, name="stdin", daemon=True).start()
