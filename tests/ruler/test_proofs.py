"""Each fault is known beforehand; the ruler has to find it, in its size, and to blame whom it is due."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from loadtest.measure.histogram import Histogram

LOSING = Path(__file__).with_name("losing.py")
# Boards that leave at once: what is to be found must not hide in the service's own tick.
QUICK = ("--tick-ms", "5", "--rate", "1000", "--burst", "1000")


def shape(players: int, rate: float, seconds: float, **more: object) -> list[str]:
    """The options of a run."""
    given = {
        "players": players,
        "rate": rate,
        "duration": f"{seconds}s",
        "warm-up": "1s",
        "arrivals": "constant",
    } | more
    return [part for name, value in given.items() for part in (f"--{name}", str(value))]


async def test_a_delay_of_fifty_milliseconds_is_found(start_service, proxy, measure, found) -> None:
    """Through a proxy that delays what the service says by 50 ms, p50 and p99 rise by 50 ± 3 ms; not inside.

    Of 480 scores the five latest make the p99, and one standstill of the generator moves its upper bound. So the lower
    one has to rise by that much, and the two bounds of the rise have to hold it.
    """
    service = start_service(*QUICK)
    straight, delayed = await proxy(service.url), await proxy(service.url, delay=0.050)
    without = await measure(straight.url, *shape(30, 60, 8))
    delay = await measure(delayed.url, *shape(30, 60, 8))
    before, after = without.metrics, delay.metrics
    rises = {
        name: (after[name] - before[name]) * 1000 for name in ("latency_p50", "latency_p99", "ack_p50", "inside_p50")
    }
    surely = (delay.lower["latency_p99"] - without.lower["latency_p99"]) * 1000
    found(f"(a) {', '.join(f'{name} {rise:+.2f} ms' for name, rise in rises.items())}; p99 at least {surely:+.2f} ms")
    assert rises["latency_p50"] == pytest.approx(50, abs=3)
    assert surely == pytest.approx(50, abs=3)
    assert delay.lower["latency_p99"] - before["latency_p99"] <= 0.053
    assert after["latency_p99"] - without.lower["latency_p99"] >= 0.047
    assert rises["ack_p50"] == pytest.approx(50, abs=3)
    assert rises["inside_p50"] == pytest.approx(0, abs=1)


async def test_a_frozen_service_shows_as_a_whole_second_of_late_updates(start_service, measure, found) -> None:
    """A service that stands still for 1 s: each update that was meant meanwhile is late by what was left of it.

    A client that waits for its answer before it asks again would have one late sample for each connection at most.
    """
    players, rate = 40, 100
    service = start_service()
    frozen: list[float] = []

    async def freeze(run) -> None:
        await run.says("measure ")
        os.kill(service.pid, signal.SIGSTOP)
        began = time.monotonic()
        await asyncio.sleep(1.0)  # the fault itself
        os.kill(service.pid, signal.SIGCONT)
        frozen.append(time.monotonic() - began)

    given = shape(players, rate, 8, gate="latency_p99<200ms lost==0")
    result = await measure(service.url, *given, "--", "--service-pid", str(service.pid), meanwhile=freeze)
    lasted = frozen[-1]
    latency = Histogram.from_dict(result.totals["latency"])
    for bound in (0.1, 0.25, 0.5, 0.75):
        late = sum(count for value, count in latency.buckets() if value > bound) / players
        found(f"(b) later than {bound} s: {late:.0f} updates, meant in that time: {rate * (lasted - bound):.0f}")
        # A tenth of a second to work off what waited.
        assert rate * (lasted - bound) - 8 <= late <= rate * (lasted + 0.1 - bound) + 8
    assert latency.maximum > lasted - 0.05
    assert (result.verdict, result.status) == ("FAIL", 3), result.last["reasons"]
    assert [line["text"] for line in result.lines if line["kind"] == "mark"] == [
        "the service is stopped",
        "the service goes on",
    ]


async def test_lost_frames_lower_the_reach(service, proxy, measure, found) -> None:
    """Behind a proxy that drops one frame in a thousand, reach is below 1 by about that, and the run fails with 3."""
    lossy = await proxy(service.url, drop=1000)
    result = await measure(lossy.url, *shape(60, 60, 10))
    found(f"(d) {lossy.dropped} of {lossy.frames} frames dropped: reach {result.metrics['reach']:.6f}")
    assert lossy.dropped >= 5
    assert (result.verdict, result.status) == ("FAIL", 3)
    assert 0.997 < result.metrics["reach"] < 0.9999
    assert 0 < result.metrics["gaps"] <= lossy.dropped


async def test_a_service_that_loses_one_update_in_ten_thousand_fails(start_service, measure, found) -> None:
    """An update that was answered and then lost, one in 10,000, is found by its score: FAIL, and the user is named."""
    service = start_service("--rate", "1000", "--burst", "1000", prefix=[sys.executable, str(LOSING), "10000"])
    result = await measure(service.url, *shape(50, 500, 12))
    found(f"(e) {result.metrics['updates']} updates: {result.totals['wrong']}")
    assert result.metrics["updates"] >= 5000
    assert (result.verdict, result.status) == ("FAIL", 3)
    assert len(result.totals["wrong"]) == 1
    assert result.totals["wrong"][0].startswith("1 scores differ from what was acknowledged: p0-")


@pytest.mark.parametrize("processes", [1, 2])
async def test_every_pair_is_measured_exactly_once(service, measure, processes, found) -> None:
    """Pairs are own updates × own receivers, summed over processes, exactly; the others' are covered by versions."""
    players = 31
    result = await measure(service.url, *shape(players, 62, 5, processes=processes))
    shares = result.totals["shares"].values()
    assert len(shares) == processes
    assert sum(share["receivers"] for share in shares) == players
    pairs = sum(share["updates"] * share["receivers"] for share in shares)
    counts = result.totals["counts"]
    found(f"(f) {processes} processes: {pairs} pairs expected, {counts['pairs_received']} measured")
    measured = Histogram.from_dict(result.totals["latency"]).count
    assert pairs == counts["pairs_owed"] == counts["pairs_received"] == measured
    assert (counts["pairs_lost"], counts["unanswered"], result.metrics["reach"]) == (0, 0, 1.0)
    # Each receiver is owed each version, whichever process sent it; those at both ends are not all measured ones.
    assert counts["versions_owed"] == pytest.approx(counts["updates"] * players, rel=0.05)
    assert result.verdict == "PASS", result.last["reasons"]
