"""A Python process that owns a desk with a swarm under way, as a kernel does; then it waits.

Prints one line when players score: the process ids of the service, the Redis and the swarm.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import warnings

warnings.simplefilter("ignore")

from cockpit import SwarmDesk  # noqa: E402 - after the filter, for what it imports


async def main() -> None:
    desk = await SwarmDesk.start(sys.argv[1])
    run = asyncio.create_task(desk.run(players=20, rate=10, duration=120, storage="redis", workers=2))
    while not (desk.progress and desk.progress.last and desk.progress.last.sent):
        assert not run.done(), run.result()
        await asyncio.sleep(0.05)
    # The cockpit, the parts of the load test it uses included, patches nothing.
    assert not {"locust", "gevent", "service.app"} & sys.modules.keys()
    # So SIGTERM ends Python as SIGKILL does, at once and without a clean-up: a test of the one is one of the other.
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    print(desk.target.service.pid, desk.target.redis.pid, desk.swarm.pid, flush=True)  # noqa: T201 - for the test
    await run


asyncio.run(main())
