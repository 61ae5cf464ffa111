"""A Python process that owns two demos, as kernels do: prints the pid and URL of each child, then waits.

The first demo has a service, the second one a service and a Redis.
"""

from __future__ import annotations

import asyncio
import warnings

warnings.simplefilter("ignore")

from cockpit import Demo  # noqa: E402 - after the filter, for what it imports


class SecondDemo(Demo):
    """Another class, as there is one open demo of each."""


async def main() -> None:
    demos = await asyncio.gather(Demo.start(), SecondDemo.start(redis=True))
    assert demos[0].redis is None  # as COCKPIT_REDIS says
    for child in [child for demo in demos for child in (demo.service, demo.redis) if child is not None]:
        print(child.pid, child.url, flush=True)  # noqa: T201 - what the test reads
    await asyncio.Event().wait()


asyncio.run(main())
