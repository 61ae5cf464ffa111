"""A Python process that owns a demo, as a kernel does: prints pid and URL of the service, then waits."""

from __future__ import annotations

import asyncio
import warnings

warnings.simplefilter("ignore")

from cockpit import Demo  # noqa: E402 - after the filter, for what it imports


async def main() -> None:
    demo = await Demo.start()
    print(demo.service.pid, demo.url, flush=True)  # noqa: T201 - what the test reads
    await asyncio.Event().wait()


asyncio.run(main())
