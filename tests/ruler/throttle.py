"""Gives a process only a share of its time: `python -m ruler.throttle PID SHARE`, until its input ends.

The pauses are short, so that what the process lacks is time, and not punctuality by the length of a pause.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys

PERIOD = 0.010  # seconds


def main(pid: int, share: float) -> None:
    """Stop and continue the process in turn."""
    try:
        while True:
            for what, seconds in ((signal.SIGSTOP, PERIOD * (1 - share)), (signal.SIGCONT, PERIOD * share)):
                os.kill(pid, what)
                if select.select([sys.stdin], [], [], seconds)[0]:
                    return
    except ProcessLookupError:
        return
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
