from __future__ import annotations

import pytest

from loadtest.judge.gates import DEFAULT_GATES, Gate, Verdict, cut_short, judge, parse_gates
from loadtest.plan.scenarios import SCENARIOS, default_gates

GOOD = {
    "latency_p99": 0.040, "lag_p99": 0.002, "reach": 1.0, "lost": 0, "unanswered": 0, "errors": 0,
    "players": 10, "players_asked": 10, "updates": 100,
}  # fmt: skip


def verdict(changed: dict[str, float | None] | None = None, gates: str = "", **more: object) -> Verdict:
    parsed = parse_gates([gates] if gates else DEFAULT_GATES)
    given = {"wrong": [], "busy": {"generator 0": [0.1] * 30}} | more
    return judge(GOOD | (changed or {}), parsed, **given).verdict


@pytest.mark.parametrize(
    ("text", "metric", "bound"),
    [
        ("latency_p99<50ms", "latency_p99", 0.05),
        ("latency_p99.9 <= 1.5 s", "latency_p99.9", 1.5),
        ("skew_p50<800us", "skew_p50", 0.0008),
        ("reach>=99.99%", "reach", 0.9999),
        ("lost==0", "lost", 0.0),
    ],
)
def test_a_gate_is_read_with_its_unit(text: str, metric: str, bound: float) -> None:
    """Metric, comparison and bound come out of the text, the bound in seconds or as a ratio."""
    gate = Gate.parse(text)
    assert (gate.metric, gate.bound) == (metric, pytest.approx(bound))


@pytest.mark.parametrize("text", ["", "latency", "latency_p99<", "<5", "latency_p99=<5ms", "lost==0x", "lost==0 min"])
def test_what_is_no_gate_is_refused(text: str) -> None:
    """A text that is no gate is refused with an example of one."""
    with pytest.raises(ValueError, match="expected a gate like"):
        Gate.parse(text)


def test_an_unknown_metric_is_refused_with_the_known_ones() -> None:
    """A gate on a metric that does not exist names those that do."""
    with pytest.raises(ValueError, match=r"latency_p99,.*got latencyy_p99"):
        parse_gates(["lost==0 latencyy_p99<5ms"])


def test_a_good_run_passes() -> None:
    """With all gates held, converged and an idle generator the verdict is PASS, exit status 0."""
    assert verdict(gates="latency_p99<50ms reach>=0.9999 lost==0") == Verdict.PASS == 0


@pytest.mark.parametrize("changed", [{"reach": 0.999}, {"lost": 1}, {"errors": 1}, {"unanswered": 1}, {"reach": None}])
def test_a_missed_gate_fails(changed: dict[str, float | None]) -> None:
    """Each default gate can fail a run, exit status 3; what was not measured holds nothing."""
    assert verdict(changed) == Verdict.FAIL == 3


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_run_whose_last_screens_are_late_fails_without_being_asked(scenario: str) -> None:
    """Nobody has to name a gate on the latency: just above the scenario's own bound the run is FAIL, below it PASS."""
    gates = parse_gates(default_gates(scenario))
    for factor, expected in ((0.99, Verdict.PASS), (1.01, Verdict.FAIL)):
        figures = GOOD | {"latency_p99": gates[0].bound * factor}
        assert judge(figures, gates, wrong=[], busy={}).verdict is expected


def test_a_wrong_board_fails_whatever_the_gates() -> None:
    """A failed correctness check fails the run and is its reason."""
    judgement = judge(GOOD, [], wrong=["two scores differ"], busy={})
    assert (judgement.verdict, judgement.reasons) == (Verdict.FAIL, ("two scores differ",))


@pytest.mark.parametrize(
    ("changed", "busy"),
    [
        ({"lag_p99": 0.0081}, [0.1] * 30),  # above 20 % of 40 ms
        ({"lag_p99": 0.0051, "latency_p99": 0.010}, [0.1] * 30),  # above 5 ms
        ({}, [0.1] * 200 + [0.81, 0.81]),  # two seconds running
        ({}, [0.1] * 30 + [0.81]),  # more than 2 % of the seconds
        ({"players": 9}, [0.1] * 30),
        ({"updates": 0}, [0.1] * 30),
    ],
)
def test_a_generator_in_the_way_makes_the_run_invalid(changed: dict[str, float], busy: list[float]) -> None:
    """Lag, a busy generator, missing players and nothing measured are INVALID, status 4, even where gates fail."""
    assert verdict({"lost": 5} | changed, busy={"generator 0": busy}) == Verdict.INVALID == 4


@pytest.mark.parametrize(
    ("changed", "busy"),
    [
        ({"lag_p99": 0.0049, "latency_p99": 0.001}, [0.1] * 30),
        ({"lag_p99": 0.0079}, [0.1] * 30),
        ({}, [0.1] * 30 + [0.81] + [0.1] * 30),  # one second in sixty
    ],
)
def test_a_generator_within_its_bounds_is_no_excuse(changed: dict[str, float], busy: list[float]) -> None:
    """Just inside each bound the run is judged."""
    assert verdict(changed, busy={"generator 0": busy}) == Verdict.PASS


@pytest.mark.parametrize(
    ("measured", "asked", "expected"),
    [
        (3.0, 30.0, ["interrupted after 3.0 of 30 s"]),
        (0.0, 2.0, ["interrupted after 0.0 of 2 s"]),
        (1.8, 2.0, []),  # a process ended a moment before another
        (2.0, 2.0, []),  # who asks for two seconds gets them
        (3.0, None, []),
        (0.5, None, ["0.5 s measured, at least 3 s are needed: use a longer --run-time or --measure 30"]),
    ],
)
def test_a_run_measures_what_was_asked_for_or_enough(measured: float, asked: float | None, expected: list[str]) -> None:
    """Fewer seconds than were asked for, or than a judgement needs, are told with both numbers."""
    assert cut_short(measured, asked) == expected


def test_a_run_cut_short_is_invalid() -> None:
    """However good the figures of a part are, it is no pass, and the reason comes first."""
    assert verdict(short=["interrupted after 3.0 of 30 s"]) == Verdict.INVALID == 4
    assert verdict({"lost": 1}, short=["interrupted after 3.0 of 30 s"]) == Verdict.INVALID


def test_a_clock_that_was_set_is_named_and_not_called_lag() -> None:
    """The run is INVALID because of the clock, whose step is in all times, that of the lag included."""
    judgement = judge(GOOD | {"lag_p99": 3.0}, [], wrong=[], busy={}, clock_step=-3.0)
    reason = "the generator's clock was set back by 3.000 s: times across it are wrong"
    assert (judgement.verdict, judgement.reasons) == (Verdict.INVALID, (reason,))


def test_an_overload_is_named_before_what_follows_from_it() -> None:
    """A generator without CPU to spare is called overloaded; only one that had some is said to lag."""
    figures = GOOD | {"lag_p99": 3.0}
    busy = judge(figures, [], wrong=[], busy={"local": [0.99] * 5}).reasons
    assert busy[0] == "the generator was overloaded: local used more than 80% of a core in 5 of 5 s"
    assert not any("lag" in reason for reason in busy)
    assert judge(figures, [], wrong=[], busy={"local": [0.2] * 5}).reasons[0].startswith("the generator lagged 3000")
