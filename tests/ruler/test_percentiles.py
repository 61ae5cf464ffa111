from __future__ import annotations

from collections.abc import Iterator

import gevent
import numpy as np

from loadtest.measure.histogram import ERROR
from loadtest.measure.metrics import lower_bounds, metrics
from loadtest.measure.pair_ledger import Ledger, Resolved
from loadtest.measure.run_totals import PERCENTILES
from loadtest.plan.run_spec import RunSpec
from loadtest.plan.scenarios import SCENARIOS
from loadtest.swarm.swarm import Swarm

PLAYERS = 10


def test_percentiles_are_those_of_the_raw_pairs(service, monkeypatch) -> None:
    """Of a small run every reported bound is numpy's percentile of all pairs, rounded outwards by 1.6 % at most."""
    swarm = Swarm(
        urls=[service.url],
        session_id="raw",
        scenario=SCENARIOS["steady"](RunSpec(player_rate=10.0, seed=1)),
        stream=0,
        stamps=True,
        on_request=lambda *_: None,
        on_pairs=lambda _: None,
    )
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    resolving = Ledger.resolving

    def resolve_and_keep(ledger: Ledger, *arguments: object, **options: object) -> Iterator[Resolved]:
        """Keep the bounds before they are counted."""
        for part in resolving(ledger, *arguments, **options):
            pairs.append((part.latency, part.latency_lower))
            yield part

    monkeypatch.setattr(Ledger, "resolving", resolve_and_keep)
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
    upper, lower = (np.concatenate(column) for column in zip(*pairs, strict=True))
    assert len(upper) == len(lower) == swarm.tally.counts.updates * PLAYERS > 1000
    named, least = metrics(swarm.tally, PLAYERS), lower_bounds(swarm.tally)
    for label, percent in PERCENTILES.items():
        above, below = (np.percentile(raw, percent, method="inverted_cdf") for raw in (upper, lower))
        assert above <= named[f"latency_{label}"] <= above * (1 + 2 * ERROR)
        assert below * (1 - 2 * ERROR) <= least[f"latency_{label}"] <= below
        assert below <= above
    assert 2 * ERROR < 0.016
    assert (named["latency_max"], least["latency_max"]) == (upper.max(), lower.max())
    assert swarm.tally.wrong == []
    for player in everybody:
        player.leave()
