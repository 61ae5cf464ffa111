from __future__ import annotations

import gevent
import numpy as np
import pytest

from loadtest.measure.histogram import ERROR
from loadtest.measure.metrics import metrics
from loadtest.measure.pair_ledger import Ledger, Resolved
from loadtest.measure.run_totals import PERCENTILES
from loadtest.plan.run_spec import RunSpec
from loadtest.plan.scenarios import SCENARIOS
from loadtest.swarm.swarm import Swarm

PLAYERS = 10


def test_percentiles_are_those_of_the_raw_pairs(service, monkeypatch) -> None:
    """Of a small run every reported percentile is numpy's of all latencies, within the histogram's error, below 1 %."""
    swarm = Swarm(
        urls=[service.url],
        session_id="raw",
        scenario=SCENARIOS["steady"](RunSpec(player_rate=10.0, seed=1)),
        stream=0,
        stamps=True,
        on_request=lambda *_: None,
        on_pairs=lambda _: None,
    )
    pairs: list[np.ndarray] = []
    resolve = Ledger.resolve

    def resolve_and_keep(ledger: Ledger, now: float, *, final: bool = False) -> Resolved:
        """Keep the latencies before they are counted."""
        resolved = resolve(ledger, now, final=final)
        pairs.append(resolved.latency)
        return resolved

    monkeypatch.setattr(Ledger, "resolve", resolve_and_keep)
    everybody = [swarm.player() for _ in range(PLAYERS)]
    gevent.joinall([gevent.spawn(player.join) for player in everybody], raise_error=True)
    playing = [gevent.spawn(player.play) for player in everybody]
    swarm.play(warm_up=0.2, measure=3.0)
    for _ in range(4):
        gevent.sleep(0.8)
        swarm.second()
    swarm.stop_scoring()
    gevent.joinall(playing, raise_error=True)
    swarm.drain()
    swarm.close_books()
    raw = np.concatenate(pairs)
    assert len(raw) == swarm.tally.counts.updates * PLAYERS > 1000
    named = metrics(swarm.tally, PLAYERS)
    for label, percent in PERCENTILES.items():
        exact = np.percentile(raw, percent, method="inverted_cdf")
        assert named[f"latency_{label}"] == pytest.approx(exact, rel=ERROR)
    assert ERROR < 0.01
    assert named["latency_max"] == raw.max()
    assert swarm.tally.wrong == []
    for player in everybody:
        player.leave()
