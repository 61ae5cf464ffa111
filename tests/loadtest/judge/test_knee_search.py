from __future__ import annotations

import random

import pytest

from loadtest.cli.ramp import sentence, status
from loadtest.judge.knee_search import Knee, Outcome, Search, sign_test


def play(search: Search, outcome) -> Knee:
    """Ask `outcome(players)` until the search is over."""
    while (players := search.next()) is not None:
        search.tell(players, outcome(players))
    return search.knee


def clean(limit: int):
    return lambda players: Outcome.HELD if players <= limit else Outcome.MISSED


@pytest.mark.parametrize("limit", [1, 7, 50, 333, 1999])
def test_a_sharp_limit_is_found_within_the_resolution(limit: int) -> None:
    """Where the gates hold up to a number and never above, that number lies in the gap, and both ends are sure."""
    knee = play(Search(50, 2000, resolution=0.1), clean(limit))
    assert knee.sure
    assert knee.holds is not None
    assert knee.fails is not None
    assert knee.holds <= limit < knee.fails
    assert knee.fails <= max(knee.holds * 1.1, knee.holds + 1)


def test_near_the_knee_the_outcome_is_chance_and_the_ends_are_still_right() -> None:
    """With chances that fall over a wide range, the end that holds does so more often than not, nearly always."""
    right = 0
    for seed in range(60):
        dice = random.Random(seed)

        def chance(players: int) -> float:
            return min(max((1000 - players) / 600 + 0.5, 0.0), 1.0)

        def outcome(players: int, dice=dice) -> Outcome:
            return Outcome.HELD if dice.random() < chance(players) else Outcome.MISSED

        knee = play(Search(50, 5000, resolution=0.2, budget=200), outcome)
        right += knee.sure and chance(knee.holds) >= 0.4 and chance(knee.fails) <= 0.6
    assert right >= 54


def test_the_least_may_be_too_much_and_the_most_too_little() -> None:
    """What holds nowhere, and what holds everywhere, is said as such."""
    nowhere = play(Search(4, 100), lambda _players: Outcome.MISSED)
    assert (nowhere.holds, nowhere.fails, nowhere.sure) == (None, 1, True)
    everywhere = play(Search(4, 100), lambda _players: Outcome.HELD)
    assert (everywhere.holds, everywhere.fails, everywhere.sure) == (100, None, True)


def test_a_generator_that_is_the_bottleneck_is_no_knee() -> None:
    """Above what the generator can play trials are spoiled; the search ends there and says whose limit it is."""
    knee = play(Search(50, 5000), lambda players: Outcome.HELD if players < 700 else Outcome.SPOILED)
    assert knee.by_generator
    assert knee.holds < 700 <= knee.fails
    assert status(knee) == 4
    assert "the generator is the bottleneck" in sentence(knee, 0.95)


def test_one_spoiled_trial_is_repeated() -> None:
    """A single INVALID on a shared machine decides nothing."""
    spoiled = iter([True])
    knee = play(Search(50, 400), lambda _p: Outcome.SPOILED if next(spoiled, False) else Outcome.HELD)
    assert (knee.holds, knee.by_generator) == (400, False)


def test_the_budget_ends_the_search_unsure() -> None:
    """When trials run out the knee is what is known, and not called sure."""
    knee = play(Search(50, 5000, budget=5), clean(333))
    assert not knee.sure
    assert status(knee) == 4
    assert "not sure" in sentence(knee, 0.95)


def test_the_sign_test_is_the_coin() -> None:
    """Five of five has a chance of 1/32, which is what 95 % asks for at least."""
    assert sign_test(5, 5) == pytest.approx(1 / 32)
    assert sign_test(4, 4) > 0.05
    assert sign_test(0, 3) == 1


@pytest.mark.parametrize(("knee", "expected"), [(Knee(5, 6, True, False), 0), (Knee(None, 1, True, False), 3)])
def test_the_status_says_what_was_found(knee: Knee, expected: int) -> None:
    """Found is 0, nothing that holds is 3."""
    assert status(knee) == expected
