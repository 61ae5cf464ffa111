"""The soak in short: the line through its samples, and a service that leaks on purpose."""

from __future__ import annotations

import math
import re
from random import Random

import pytest
from soak.__main__ import main
from soak.slope import STRETCHES, slope

HOUR = 3600
BOUND = 2.0  # MB an hour


def samples(growth: float, seed: int, *, noise: float = 0.15) -> list[tuple[float, float]]:
    """Three quarters of an hour of memory that wanders, and grows by so many megabytes an hour."""
    rng, wandering = Random(seed), 0.0
    made = []
    for at in range(900, HOUR, 5):
        wandering = 0.9 * wandering + rng.gauss(0, noise)
        made.append((float(at), 70 + growth * at / HOUR + wandering))
    return made


@pytest.mark.parametrize("seed", range(5))
def test_memory_that_wanders_is_flat(seed: int) -> None:
    """The whole interval is below the bound, and not above zero."""
    found = slope(samples(0, seed))
    assert found is not None
    assert found.low < 0.5
    assert found.high < BOUND


@pytest.mark.parametrize("phase", [0, 70, 140, 210])
def test_op_ids_that_rotate_are_flat(phase: int) -> None:
    """They rise by 14 MB in five minutes and fall; it is below the bound wherever in that the samples begin."""
    rotating = [(at, value + 14 * ((at + phase) % 300) / 300) for at, value in samples(0, 1)]
    found = slope(rotating)
    assert found is not None
    assert abs(found.an_hour) < 0.5
    assert found.high < BOUND


@pytest.mark.parametrize("seed", range(5))
def test_a_leak_of_ten_megabytes_an_hour_is_found(seed: int) -> None:
    """The whole interval is above the bound, near the leak."""
    found = slope(samples(10, seed))
    assert found is not None
    assert found.low > BOUND
    assert 9 < found.an_hour < 11


def test_the_slope_of_a_line_is_exact() -> None:
    """Without noise the interval is a point."""
    found = slope([(float(at), 3 * at / HOUR) for at in range(120)])
    assert found is not None
    assert math.isclose(found.an_hour, 3)
    assert math.isclose(found.low, found.high, abs_tol=1e-6)


def test_too_few_samples_say_nothing() -> None:
    """A run that is too short has no slope, rather than a flat one."""
    assert slope([(float(at), 1.0) for at in range(STRETCHES - 1)]) is None
    assert slope([(0.0, 1.0)] * STRETCHES + [(100.0, 1.0)]) is None


@pytest.mark.starts_process
def test_a_service_that_leaks_is_found(capfd: pytest.CaptureFixture[str]) -> None:
    """Players score, and the memory that the service then holds is wrong."""
    options = ["--updates", "40", "--players", "10", "--sessions", "2", "--seed", "14"]
    status = main([*options, "--minutes", "0.12", "--leak", "7200", "--bound", "2000"])
    said = capfd.readouterr().out
    assert "FAIL memory: expected at most +2000 MB an hour with 95 % confidence, got +" in said, said
    assert int(re.findall(r"'updates': (\d+)", said)[-1]) > 50
    assert status == 1
