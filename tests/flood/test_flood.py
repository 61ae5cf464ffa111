"""The floods in short: what a sender sends, and what counts as a bound that was missed."""

from __future__ import annotations

import argparse
import asyncio
from functools import partial

import pytest
from bystander import Answers, Bystander
from flood import run, senders
from flood.__main__ import KINDS
from flood.run import Figures, Target

from loadtest.target.prometheus_text import Samples


def answers(milliseconds: float, *, missing: int = 0) -> Answers:
    return Answers(100 + missing, [milliseconds / 1000] * 100)


@pytest.mark.parametrize(
    ("flooded", "peak", "expected"),
    [
        ([answers(19)] * 3, 80, None),
        ([answers(21)] * 3, 80, "p99"),
        ([answers(19), answers(19), answers(500)], 80, None),
        ([answers(19)] * 2 + [answers(19, missing=1)], 80, "expected 301 answers, got 300"),
        ([Answers(5)] * 3, 80, "p99"),
        ([answers(19)] * 3, 91, "MB"),
    ],
    ids=["within", "slow", "one slow round", "an answer missing", "no answer", "memory"],
)
def test_a_missed_bound_is_found(flooded: list[Answers], peak: float, expected: str | None) -> None:
    """The median round counts for the time, every round for the answers."""
    faults = Figures("pings × 1", [answers(5)] * 3, flooded, [], 70, peak).faults()
    assert bool(faults) == (expected is not None)
    assert expected is None or expected in " ".join(faults)


def test_a_slow_machine_is_measured_by_itself() -> None:
    """Twice the p99 of the quiet rounds is allowed where that is more."""
    assert Figures("pings × 1", [answers(30)] * 3, [answers(59)] * 3, [], 70, 70).faults() == []
    assert Figures("pings × 1", [answers(30)] * 3, [answers(61)] * 3, [], 70, 70).faults() != []


def test_every_kind_has_a_sender() -> None:
    """What the options offer is what can be sent."""
    assert tuple(senders.KINDS) == KINDS


@pytest.mark.starts_process
@pytest.mark.extension
async def test_a_bystander_is_answered_beside_a_flood(shared_service, http, monkeypatch) -> None:
    """The flood arrives, as the closes that it costs its sender show, and no answer is missing."""
    monkeypatch.setattr(run, "Bystander", partial(Bystander, patience=30.0))  # how soon is for `nox -s flood`
    target = Target(shared_service.url, shared_service.pid, list)

    async def closed_with_4429() -> float:
        page = (await http.get(f"{shared_service.url}/metrics")).text
        return Samples.parse(page).by("leaderboard_connections_closed_total", "code")["4429"]

    before = await closed_with_4429()

    async def arrived() -> None:
        async with asyncio.timeout(60):
            while await closed_with_4429() == before:
                await asyncio.sleep(0.05)

    figures = await run.measure(target, "pings", 1, argparse.Namespace(rounds=1, seconds=0.2), arrived)
    assert (figures.asked, figures.missing) == (4, 0)
