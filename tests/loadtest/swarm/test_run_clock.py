"""The moments of a run."""

from __future__ import annotations

import math

import pytest

from loadtest.swarm.run_clock import RunClock


@pytest.mark.parametrize(
    ("now", "phase"),
    [
        (1000.0, "warm-up"), (1001.9, "warm-up"), (1002.0, "measure"), (1004.9, "measure"), (1005.0, "settle"),
        (9999.0, "settle"),
    ],
)  # fmt: skip
def test_a_run_warms_up_measures_and_settles(standing_time, now: float, phase: str) -> None:
    """Two seconds of warm-up and three of measured time follow each other without a gap."""
    clock = RunClock()
    assert clock.phase == "connect"
    clock.start(warm_up=2.0, measure=3.0)
    standing_time.now = now
    assert clock.phase == phase
    assert (clock.origin, clock.begins, clock.ends, clock.measured) == (1000.0, 1002.0, 1005.0, 3.0)


def test_a_run_without_a_length_ends_when_it_is_stopped(standing_time) -> None:
    """Until `stop` there is no end; then it is the moment of the call, and the measured time is known."""
    clock = RunClock()
    clock.start(warm_up=2.0, measure=None)
    assert clock.ends == math.inf
    standing_time.now = 1006.5
    clock.stop()
    assert (clock.ends, clock.measured) == (1006.5, 4.5)


def test_a_run_that_was_stopped_does_not_start(standing_time) -> None:
    """Whoever interrupts while players connect has measured nothing, however near the start was."""
    clock = RunClock()
    clock.stop()
    clock.start(warm_up=0.0, measure=3.0)
    standing_time.now = 1009.0
    assert (clock.measured, clock.phase) == (0.0, "settle")


def test_stopping_after_the_end_changes_nothing(standing_time) -> None:
    """The measured time does not grow while the last answers are awaited."""
    clock = RunClock()
    clock.start(warm_up=0.0, measure=3.0)
    standing_time.now = 1007.0
    clock.stop()
    assert clock.measured == 3.0


@pytest.mark.parametrize("started", [False, True])
def test_a_run_stopped_before_it_measures_has_measured_nothing(standing_time, *, started: bool) -> None:
    """While connecting or warming up: 0 s measured, and those who wait for the start go on."""
    clock = RunClock()
    if started:
        clock.start(warm_up=5.0, measure=3.0)
    clock.stop()
    assert (clock.measured, clock.phase, clock.started.is_set()) == (0.0, "settle", True)
