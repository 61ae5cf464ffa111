"""When a client of the service reconnects."""

from __future__ import annotations

import random

import pytest

from loadtest.transport.reconnect import (
    FOREIGN,
    LONGEST_WAIT,
    NEVER_RETRY,
    TOO_FAST,
    TOO_MANY_WRONG,
    WAIT_WHEN_TOO_FAST,
    closed_permanently,
    wait_before,
)  # fmt: skip
from service.core.errors import CloseCode


class Longest(random.Random):
    """Always draws the longest wait."""

    def uniform(self, a: float, b: float) -> float:
        """The upper end."""
        return b


@pytest.mark.parametrize(("attempt", "longest"), [(0, 0.5), (1, 1.0), (4, 8.0), (5, 10.0), (10_000, LONGEST_WAIT)])
def test_the_wait_doubles_up_to_ten_seconds(attempt: int, longest: float) -> None:
    """The longest possible wait doubles with each attempt and stops at ten seconds."""
    assert wait_before(attempt, None, Longest()) == longest


def test_an_audience_spreads_over_the_whole_wait() -> None:
    """Full jitter: a thousand clients spread evenly from none of the wait to all of it."""
    waits = [wait_before(3, 1006, random.Random(seed)) for seed in range(1000)]
    assert min(waits) < 0.1
    assert max(waits) > 3.9
    assert 1.8 < sum(waits) / len(waits) < 2.2


def test_a_client_that_was_too_fast_waits_longer() -> None:
    """After 4429 the wait is what the service demands, and the jitter on top."""
    assert all(wait_before(0, TOO_FAST, random.Random(seed)) >= WAIT_WHEN_TOO_FAST for seed in range(50))
    assert wait_before(0, TOO_FAST, Longest()) == WAIT_WHEN_TOO_FAST + 0.5


def test_final_codes_are_the_services() -> None:
    """The codes are those of the wire contract, and those that are final have a reason."""
    assert (TOO_MANY_WRONG, FOREIGN, TOO_FAST) == (CloseCode.WRONG_FRAMES, CloseCode.FORBIDDEN, CloseCode.TOO_FAST)
    assert set(NEVER_RETRY) == {TOO_MANY_WRONG, FOREIGN}
    assert TOO_FAST not in NEVER_RETRY
    assert closed_permanently(FOREIGN) == (
        "the service closed a connection permanently (4403): it does not accept this origin"
    )
    assert [closed_permanently(code) for code in (None, 1006, TOO_FAST)] == [None] * 3
