"""A service that says everything late: `python -m ruler.slow_service CORE SECONDS`, until its input ends.

A service behind a proxy that delays what it says, both on one core, as one process tree: whoever watches the first
process sees the CPU time and the waiting of both. Prints its URL.
"""

from __future__ import annotations

import asyncio
import os
import sys

from ruler.proxy import Proxy

from loadtest.target.processes import Service


async def main(core: int, seconds: float) -> None:
    """Serve until the input ends."""
    os.sched_setaffinity(0, {core})
    with Service(("--rate", "1000", "--burst", "1000")) as service:
        proxy = Proxy(service.url, delay=seconds)
        await proxy.start()
        sys.stdout.write(f"{proxy.url}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        await proxy.stop()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
