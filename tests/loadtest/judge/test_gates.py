from __future__ import annotations

import math

import pytest

from loadtest.judge.gates import (
    AGAIN,
    ALONE,
    DEFAULT_GATES,
    KEEP_UP,
    LOOK_AT_ERRORS,
    QUIETER,
    SCORE,
    Gate,
    Judgement,
    Verdict,
    cut_short,
    in_figures,
    judge,
    parse_gates,
)
from loadtest.plan.scenarios import SCENARIOS, default_gates

GOOD = {
    "latency_p99": 0.040, "send_lag_p99": 0.002, "receive_lag_max": 0.2, "reach": 1.0, "lost": 0, "unanswered": 0,
    "errors": 0, "closes": 0, "players": 10, "players_asked": 10, "absent": 0, "updates": 10_000, "unsent": 0,
}  # fmt: skip


def verdict(changed: dict[str, float | None] | None = None, gates: str = "", **more: object) -> Verdict:
    parsed = parse_gates([gates] if gates else DEFAULT_GATES)
    given = {"wrong": []} | more
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
        assert judge(figures, gates, wrong=[]).verdict is expected


def test_a_wrong_board_fails_whatever_the_gates() -> None:
    """A failed correctness check fails the run and is its reason."""
    judgement = judge(GOOD, [], wrong=["two scores differ"])
    assert (judgement.verdict, judgement.reasons) == (Verdict.FAIL, ("two scores differ",))


@pytest.mark.parametrize(
    ("gate", "bounds", "expected"),
    [
        ("latency_p99<50ms", (0.040, 0.049), True),
        ("latency_p99<50ms", (0.049, 0.051), None),
        ("latency_p99<50ms", (0.050, 0.051), False),
        ("latency_p99>=50ms", (0.050, 0.060), True),
        ("latency_p99>=50ms", (0.049, 0.060), None),
        ("latency_p99==50ms", (0.050, 0.050), True),
        ("latency_p99==50ms", (0.040, 0.060), None),
        ("latency_p99==50ms", (0.051, 0.060), False),
        ("latency_p99<50ms", (0.040, math.inf), None),
        ("latency_p99<50ms", (math.inf, math.inf), False),
    ],
)
def test_a_gate_holds_or_breaks_only_at_both_ends_of_a_band(
    gate: str, bounds: tuple[float, float], expected: bool | None
) -> None:
    """With the lower bound beside the upper one a gate is held, broken, or not decided."""
    (parsed,) = parse_gates([gate])
    assert parsed.holds({"latency_p99": bounds[1]}, {"latency_p99": bounds[0]}) is expected


def test_a_verdict_needs_certainty() -> None:
    """PASS on the upper bound, FAIL on the lower one, INVALID in between, with both told; a broken gate decides."""

    def judged(least: float, gates: str = "latency_p99<50ms", **changed: float) -> Judgement:
        return judge(GOOD | changed, parse_gates([gates]), wrong=[], lower={"latency_p99": least})

    assert judged(0.030).verdict is Verdict.PASS
    between = judged(0.030, latency_p99=0.060)
    assert (between.verdict, between.gates) == (Verdict.INVALID, (("latency_p99<50ms", None),))
    assert between.reasons == ("latency_p99<50ms: it was between 30 ms and 60 ms",)
    assert judged(0.055, latency_p99=0.060).verdict is Verdict.FAIL
    assert judged(0.030, latency_p99=math.inf).reasons[0].endswith("it was between 30 ms and unbounded")
    assert judged(0.030, "latency_p99<50ms lost==0", latency_p99=0.060, lost=1).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    "changed",
    [
        {"players": 9},
        {"absent": 1},
        {"updates": 0},
        {"unsent": 11},  # of 10,000
        {"send_lag_p99": 0.0101},  # above a quarter of 40 ms
        {"send_lag_p99": math.inf},
        {"closes": 1, "receive_lag_max": 1.1},
    ],
)
def test_what_was_not_offered_makes_the_run_invalid(changed: dict[str, float]) -> None:
    """Players who were away, scores not sent or sent too late are INVALID, status 4, even where gates break."""
    for gates in ("latency_p99<40.1ms", "latency_p99<40.1ms lost==1"):
        assert verdict(changed, gates=gates) == Verdict.INVALID == 4


@pytest.mark.parametrize(
    "changed",
    [
        {"unsent": 10}, {"send_lag_p99": 0.0099}, {"closes": 1, "receive_lag_max": 0.9},
        {"closes": 0, "receive_lag_max": 3.0},
    ],
)  # fmt: skip
def test_a_generator_within_its_bounds_is_no_excuse(changed: dict[str, float]) -> None:
    """Just inside each bound the run is judged, and so is one that nobody's reading explains."""
    assert verdict(changed, gates="latency_p99<40.1ms") == Verdict.PASS
    assert verdict(changed, gates="latency_p99<39.9ms") == Verdict.FAIL


def test_without_a_bound_on_the_latency_fifty_milliseconds_are_late() -> None:
    """So late a score would not show on a slow service either; a wide bound allows no more."""
    for gates in ("lost==0", "latency_p99<10s"):
        assert [verdict({"send_lag_p99": lag}, gates=gates) for lag in (0.049, 0.051)] == [
            Verdict.PASS, Verdict.INVALID,
        ]  # fmt: skip


def test_a_gate_that_others_may_have_broken_is_not_decided() -> None:
    """Relieved of their time it would hold: INVALID, which names who it was. A PASS stays one, as a clear FAIL does."""
    waited = {"service": "0.41 s (neighbours) of 5.0 s"}

    def judged(relieved: float, late: float = 0.060, least: float = 0.055) -> Judgement:
        return judge(
            GOOD | {"latency_p99": late}, parse_gates(["latency_p99<50ms"]), wrong=[], lower={"latency_p99": least},
            relieved={"latency_p99": relieved}, waited=waited,
        )  # fmt: skip

    starved = judged(0.030)
    assert (starved.verdict, starved.gates[0][1]) == (Verdict.INVALID, None)
    assert starved.reasons == (
        "latency_p99<50ms: it was between 55 ms and 60 ms, 30 ms without others",
        "others kept service from a CPU for 0.41 s (neighbours) of 5.0 s",
    )
    assert judged(0.051).verdict is Verdict.FAIL
    assert judged(0.010, late=0.045, least=0.040).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("changed", "least", "advice"),
    [
        ({"players": 9}, 0.040, (LOOK_AT_ERRORS,)),
        ({"updates": 0}, 0.040, (SCORE,)),
        ({"send_lag_p99": 0.3, "unsent": 500}, 0.040, (KEEP_UP,)),
        ({"latency_p99": 0.060}, 0.030, (QUIETER,)),
        ({"latency_p99": 0.060}, 0.055, ()),  # FAIL
        ({}, 0.030, ()),
    ],
)
def test_an_undecided_run_says_what_to_do(changed: dict[str, float], least: float, advice: tuple[str, ...]) -> None:
    """For each cause once; a run that is judged needs no advice."""
    gates = parse_gates(["latency_p99<50ms"])
    judgement = judge(GOOD | changed, gates, wrong=[], lower={"latency_p99": least})
    assert (judgement.advice, judgement.verdict is Verdict.INVALID) == (advice, bool(advice))
    assert judgement.to_dict()["advice"] == list(advice)


def test_advice_against_others_names_them() -> None:
    """Who was kept from a CPU needs cores of its own; who was cut short has to run to its end."""
    judgement = judge(
        GOOD | {"latency_p99": 0.060}, parse_gates(["latency_p99<50ms"]), wrong=[], lower={"latency_p99": 0.030},
        waited={"service": "0.4 s"}, short=["interrupted after 3.0 of 30 s"],
    )  # fmt: skip
    assert judgement.advice == (AGAIN, QUIETER, ALONE)


def test_gates_are_shown_with_their_figures() -> None:
    """Whether each held, and the figure with its band; a metric of another version has none."""
    gates = (("latency_p99<50ms", True), ("lost==0", False), ("bygone_p50<1s", None))
    assert in_figures(gates, {"latency_p99": 0.0451, "lost": 3}, {"latency_p99": 0.0402}) == [
        ("✓ held", "latency_p99<50ms", "45.1 ms, at least 40.2"),
        ("✗ MISSED", "lost==0", "3"),
        ("? open", "bygone_p50<1s", "–"),
    ]


def test_wrong_scores_fail_whoever_lagged() -> None:
    """They come first, before what was not offered, and no band excuses them."""
    judgement = judge(GOOD | {"absent": 3}, [], wrong=["two scores differ"])
    assert (judgement.verdict, judgement.reasons[0]) == (Verdict.FAIL, "two scores differ")


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
