"""How late the event loop is."""

from __future__ import annotations

import asyncio
import time

from service.server.loop_lag import EVERY_SECONDS, LoopLag

BUSY = 3 * EVERY_SECONDS


async def test_a_loop_that_is_kept_busy_is_late() -> None:
    """By the time for which it was busy, less the wait that was asked for."""
    lags: list[float] = []
    lag = LoopLag(lags.append)
    lag.start()
    time.sleep(BUSY)  # noqa: ASYNC251 - what is measured
    async with asyncio.timeout(5):
        while len(lags) < 2:
            await asyncio.sleep(0.01)
    lag.stop()
    assert lags[0] >= BUSY - EVERY_SECONDS - 0.005
    assert all(seconds >= 0 for seconds in lags)


async def test_it_ends() -> None:
    """Nothing is measured once it has stopped."""
    lags: list[float] = []
    lag = LoopLag(lags.append)
    lag.stop()
    lag.start()
    lag.stop()
    await asyncio.sleep(1.5 * EVERY_SECONDS)
    assert lags == []
