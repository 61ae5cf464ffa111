from __future__ import annotations

from itertools import islice, pairwise

import numpy as np
import pytest

from loadtest.plan.score_times import Schedule


def test_the_same_seed_gives_the_same_times() -> None:
    """Times depend on seed, stream and player, and on nothing else."""
    schedule = Schedule(rate=2.0, seed=7)
    first = list(islice(schedule.times(3, stream=1), 200))
    assert first == list(islice(Schedule(rate=2.0, seed=7).times(3, stream=1), 200))
    others = (Schedule(2.0, 8).times(3, 1), schedule.times(4, 1), schedule.times(3, 2))
    assert all(first != list(islice(other, 200)) for other in others)


def test_times_are_absolute_and_ascend() -> None:
    """Reading the times late or early changes none of them."""
    times = list(islice(Schedule(5.0, 1).times(0), 500))
    assert times[0] > 0
    assert all(one < other for one, other in pairwise(times))


def test_random_gaps_are_those_of_a_poisson_process() -> None:
    """Mean and deviation of the gaps are 1/rate, as for exponential gaps."""
    gaps = np.diff(list(islice(Schedule(4.0, 11).times(0), 20_000)))
    assert gaps.mean() == pytest.approx(0.25, rel=0.03)
    assert gaps.std() == pytest.approx(0.25, rel=0.05)
    # A memoryless process: the chance of a gap longer than its mean is 1/e.
    assert (gaps > 0.25).mean() == pytest.approx(np.exp(-1), rel=0.05)


def test_constant_gaps_are_even_and_players_are_out_of_step() -> None:
    """The constant process has equal gaps and a phase of each player's own."""
    schedule = Schedule(4.0, 3, "constant")
    assert np.diff(list(islice(schedule.times(0), 100))) == pytest.approx(0.25)
    assert next(schedule.times(0)) != next(schedule.times(1))


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf"), float("nan")])
def test_a_rate_must_be_positive(rate: float) -> None:
    """A rate that gives no schedule is refused."""
    with pytest.raises(ValueError, match="positive rate"):
        Schedule(rate, 1)
