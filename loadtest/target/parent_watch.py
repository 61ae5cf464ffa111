"""`python parent_watch.py COMMAND …`: a command that ends when its owner does.

Law of the file: it is run as a script and imports nothing of the kit, so that it costs an
interpreter and no more. It gets a pipe as stdin; when that closes – because the owner says so, or
was killed – the command is interrupted, again and again, and after `PATIENCE` killed. `loadtest
run` ends its Locust, and Locust's processes, at the second interrupt.

The first line on stdout is `pid N`, the command's; what follows is the command's own. SIGTERM is
passed on: the command may end as it likes. The exit status is the command's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

PATIENCE = 5.0  # seconds
AGAIN = 0.25  # seconds between two interrupts


def main(command: Sequence[str]) -> int:
    """Run the command until it ends; return its exit status."""
    signals: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: signals.append(number))
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    if signals:  # while it was started
        child.terminate()
    sys.stdout.write(f"pid {child.pid}\n")
    sys.stdout.flush()
    threading.Thread(target=_end_when_stdin_closes, args=(child,), daemon=True).start()
    status = child.wait()
    return status if status >= 0 else 128 - status


def _end_when_stdin_closes(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 4096):
        pass
    ends = time.monotonic() + PATIENCE
    while child.poll() is None and time.monotonic() < ends:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(AGAIN)
    child.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
