"""The storm in short: a small audience is cut, waits for a restart, comes between slow handshakes, and is back."""

from __future__ import annotations

import argparse
import asyncio

import pytest
from storm import run
from storm.crowd import Crowd

pytestmark = pytest.mark.starts_process

SOCKETS = 30


async def test_an_audience_comes_back_after_each_storm() -> None:
    """Each storm is survived by all guests, and each call gets its answer."""
    said: list[str] = []
    options = argparse.Namespace(sockets=SOCKETS, rounds=1, seed=14, within=60)
    assert await run.Run(options, said.append).play() == [], said
    assert [line.partition(" (")[0].partition(":")[0] for line in said] == [
        "arrival", "cut", "restart", "cut among slow handshakes", "REST",
    ]  # fmt: skip


async def test_an_audience_that_stays_away_is_found() -> None:
    """Where nobody serves, nobody is back."""
    crowd = Crowd("ws://127.0.0.1:1/ws", 2, 14)
    try:
        assert await crowd.all_are_here(0.1) is None
        assert crowd.failed["ConnectionRefusedError"] >= 2
    finally:
        await crowd.leave()
        await asyncio.sleep(0)
