"""The contest with the usual broadcast: what its picture and its text say, and that nothing of it is left."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import psutil
import pytest
from cockpit import BroadcastBenchmark
from cockpit.results.benchmark_run import OURS, USUAL

pytestmark = pytest.mark.starts_process

BENCHMARK = Path(__file__).parents[3] / "docs" / "benchmark.json"


def fanout(**changes: float) -> dict[str, object]:
    """The part of the project's own benchmark that is about these two, at 1000 clients and 1 KB."""
    found = json.loads(BENCHMARK.read_text("utf-8"))["fanout"]
    rows = [row for row in found["table"] if (row["clients"], row["size"]) == (1000, 1024)]
    return found | {"table": [row | changes for row in rows if row["name"] in {OURS, USUAL}]}


def test_picture_and_text_say_the_cost_and_the_ratio() -> None:
    """Both have the CPU of each server for a delivery, and the ratio with its range."""
    given = fanout()
    ours, usual = given["table"]
    contest = BroadcastBenchmark.read(given)
    ratio = usual["ours_to_this"]
    sentence = f"{ratio['median']:.2f} ({ratio['min']:.2f}–{ratio['max']:.2f}; 5 rounds, 1000 clients"
    for text in (repr(contest), contest._repr_svg_()):
        assert sentence in text
        assert "FastAPI, json.dumps per client" in text
        for row in (ours, usual):
            assert f"{row['us_per_delivery']['median']:.1f} µs" in text
    assert contest._repr_png_().startswith(b"\x89PNG")
    assert "mind:" not in repr(contest)


def test_boards_that_were_not_delivered_are_reported() -> None:
    """A server that fell behind is cheap for the wrong reason: the text says so."""
    assert "warning: this service delivered 60% of what was due" in repr(BroadcastBenchmark.read(fanout(delivered=0.6)))


def test_a_machine_that_cannot_measure_says_why() -> None:
    """Then there is no picture, and the text has the reason: the cells after it go on."""
    contest = BroadcastBenchmark((), {}, 3, "expected Linux, whose CPU clocks and receive stamps are read here")
    assert repr(contest).startswith("not measured: expected Linux")
    assert contest._repr_svg_() is contest._repr_png_() is None


async def test_what_cannot_be_measured_is_refused() -> None:
    """Memory is measured between the first ten clients and the others, so there have to be others."""
    with pytest.raises(ValueError, match="more than 10 clients"):
        await BroadcastBenchmark.hold(clients=10)


async def test_a_contest_that_is_cut_short_leaves_nothing() -> None:
    """Interrupted in its cell, it ends the benchmark with the servers and receivers that it has started."""
    before = psutil.Process().children()
    holding = asyncio.create_task(BroadcastBenchmark.hold(clients=20))
    family: list[psutil.Process] = []
    async with asyncio.timeout(30):
        while len(family) < 3:  # the parent watch, the benchmark, a server
            assert not holding.done()
            await asyncio.sleep(0.05)
            # A browser of other tests starts processes, too, but not from here.
            begun = [child for child in psutil.Process().children() if child not in before]
            family = [one for child in begun for one in (child, *child.children(recursive=True))]
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding
    _, alive = await asyncio.to_thread(psutil.wait_procs, family, timeout=10)
    assert alive == []
