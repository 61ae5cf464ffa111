"""The system's clock, which may be set, beside the run's."""

from __future__ import annotations

import numpy as np
import pytest

from loadtest.measure.stamp_shift import StampShift
from loadtest.swarm.run_clock import RunClock
from loadtest.swarm.stamp_clock import StampClock


@pytest.fixture
def clock(standing_time) -> StampClock:
    """Made at 1000 s; `told` counts how often it told of a step."""
    made = StampClock(RunClock(), lambda: told.append(1))
    told: list[int] = []
    made.told = told  # type: ignore[attr-defined]
    return made


def slices(clock: StampClock, standing_time, count: int) -> list[bool]:
    """Whether stamps are known in each of so many tenths of a second."""
    known = []
    for _ in range(count):
        standing_time.now += 0.1
        known.append(clock.read().known)
    return known


@pytest.mark.parametrize("step", [3600.0, -3600.0, 0.0015, -0.0015])
def test_a_step_makes_stamps_worthless_for_a_second(clock, standing_time, step: float) -> None:
    """Forward and back, from a millisecond on: for a second nothing is known, then the new shift is."""
    assert slices(clock, standing_time, 15) == [True] * 15
    standing_time.now += step
    standing_time.set_by += step
    assert slices(clock, standing_time, 9) == [False] * 9
    slices(clock, standing_time, 3)
    shift = clock.read()
    assert shift.known
    assert shift.seconds == pytest.approx(step, abs=1e-6)
    assert clock.largest_step == pytest.approx(step, abs=1e-6)
    assert clock.told


def test_a_clock_that_is_slewed_is_followed(clock, standing_time) -> None:
    """A time server that corrects half a millisecond a second moves the shift, and sets nothing."""
    for _ in range(50):
        standing_time.now += 0.1 + 0.00005
        standing_time.set_by += 0.00005
        assert clock.read().known
    assert clock.read().seconds == pytest.approx(0.0025, abs=1e-6)
    assert (clock.largest_step, clock.told) == (0.0, [])


def test_a_schedule_does_not_move_with_the_clock(standing_time) -> None:
    """The run's clock goes on as if nobody had set the system's."""
    clock = RunClock()
    clock.start(warm_up=1.0, measure=2.0)
    standing_time.now += 3600.5
    standing_time.set_by += 3600.0
    assert clock.now() == pytest.approx(1000.5)
    assert clock.phase == "warm-up"


def test_a_shift_is_taken_off_where_it_is_known() -> None:
    """A stamp of 0 stays unknown; where the clock was set there is the moment itself, and nothing."""
    stamps = np.array([3605.0, 0.0])
    assert StampShift(3600.0).earliest(stamps).tolist() == [5.0, 0.0]
    assert StampShift(3600.0).latest(stamps[:1], 9.0).tolist() == [5.0]
    assert StampShift(known=False).earliest(stamps).tolist() == [0.0, 0.0]
    assert StampShift(known=False).latest(stamps, 9.0).tolist() == [9.0, 9.0]
