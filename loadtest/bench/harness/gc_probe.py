"""Run a module as `python -m` would, and on SIGUSR1 say on stderr how long a full garbage collection takes.

python -m loadtest.bench.harness.gc_probe service --port 0 …
"""

from __future__ import annotations

import gc
import runpy
import signal
import sys
import threading
import time

SAID = "full collection:"


def collect_on_signal() -> None:
    """Wait for the signal in a thread of our own, whatever loop the module runs."""
    while True:
        signal.sigwait({signal.SIGUSR1})
        began = time.perf_counter()
        # The collector lets no other thread run, so its time is the whole process' pause.
        gc.collect()
        sys.stderr.write(f"{SAID} {(time.perf_counter() - began) * 1000:.3f} ms\n")
        sys.stderr.flush()


def main() -> None:
    """Run the module named first, with the arguments after it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})  # every thread to come inherits it
    threading.Thread(target=collect_on_signal, name="collector", daemon=True).start()
    module = sys.argv[1]
    del sys.argv[0]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
