"""When own ranks go out unasked."""

from __future__ import annotations

import asyncio

from service.realtime import rank_updates
from service.realtime.rank_updates import RankPacer


async def test_ranks_go_out_at_once_and_then_wait(monkeypatch):
    """The first change has its turn now; the next ones wait, and one call says that their time has come."""
    monkeypatch.setattr(rank_updates, "RANKS_EVERY", 0.05)
    woken = asyncio.Event()
    calls = []
    pacer = RankPacer(lambda: (calls.append(1), woken.set()))
    assert not pacer.take_turn()
    pacer.scores_changed()
    assert pacer.take_turn()
    assert not pacer.take_turn()
    for _ in range(3):
        pacer.scores_changed()
        assert not pacer.take_turn()
    await asyncio.wait_for(woken.wait(), 5)
    assert len(calls) == 1
    assert pacer.take_turn()
    assert not pacer.take_turn()


async def test_a_closed_pacer_wakes_nobody():
    """The timer is gone, and with it what it would call."""
    pacer = RankPacer(lambda: None)
    for _ in range(2):
        pacer.scores_changed()
        pacer.take_turn()
    timer = pacer._timer
    pacer.close()
    assert timer.cancelled()
