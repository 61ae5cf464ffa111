"""A Python process that owns a demo, as a kernel does: prints the pid and URL of each child, then waits.

With the argument `redis` the demo has a Redis, and prints a second line.
"""

from __future__ import annotations

import asyncio
import sys
import warnings

warnings.simplefilter("ignore")

from cockpit import Demo  # noqa: E402 - after the filter, for what it imports


async def main() -> None:
    demo = await Demo.start(redis="redis" in sys.argv)
    for child in filter(None, (demo.service, demo.redis)):
        print(child.pid, child.url, flush=True)  # noqa: T201 - what the test reads
    await asyncio.Event().wait()


asyncio.run(main())
