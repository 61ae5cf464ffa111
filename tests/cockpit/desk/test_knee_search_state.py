"""A search for the knee in words and as a chart: no run is shown as what it is not."""

from __future__ import annotations

import math

import pytest
from cockpit.desk.knee_chart import KneeChart, around
from cockpit.desk.knee_search_state import KneeTrials
from cockpit.runs.progress import RunProgress, RunVerdict

from loadtest.judge.knee_search import Outcome, Search

GATES = ("latency_p99<100ms", "lost==0")


def play(trials: KneeTrials, holds: int, capable: int = 10_000) -> KneeTrials:
    """All runs of a service that holds so many players, by a generator that can play so many."""
    while (players := trials.next()) is not None:
        trials.take(verdict(players, holds, capable))
    trials.finish()
    return trials


def verdict(players: int, holds: int, capable: int = 10_000) -> RunVerdict:
    if players > capable:
        # Its figures look fine, and prove nothing.
        return RunVerdict("INVALID", ("the generator lagged",), {"latency_p99": 0.05})
    if players > holds:
        return RunVerdict("FAIL", ("latency_p99<100ms: it was 200 ms",), {"latency_p99": 0.2})
    return RunVerdict("PASS", (), {"latency_p99": 0.05})


def search(least: int = 50, most: int = 2000, trials: int = 40) -> Search:
    return Search(least, most, 0.2, 0.75, trials)


def drawn(chart: KneeChart, outcome: Outcome) -> list[int]:
    points = chart._points[outcome]
    return [int(x) for x, y in zip(points.x, points.y, strict=True) if y > -9]


def test_the_knee_is_a_line_with_its_number_of_players() -> None:
    """Where the gate breaks stands an upright line at the most players that hold, and the words say so."""
    trials = play(KneeTrials(GATES, search()), 500)
    players = trials.breaks_after
    assert players is not None
    assert 500 / 1.2 <= players <= 500
    chart = KneeChart()
    chart.draw(trials, None)
    assert set(chart._knee.x) == {players}
    assert list(chart._knee_word.text) == [f"knee: {players} players"]
    assert list(chart._gate.y) == [pytest.approx(2.0)] * 2
    assert chart._up.tick_labels["2"] == "100"
    assert list(chart._gate_word.text) == ["gate: latency_p99<100ms"]
    assert f"knee: {players} players hold all gates, {trials.knee.fails} break one" in chart._words.value
    assert "at 75% confidence" in repr(trials)
    assert max(drawn(chart, Outcome.HELD)) == players < min(drawn(chart, Outcome.MISSED))
    assert drawn(chart, Outcome.SPOILED) == []
    assert len({(points.marker, *points.colors) for points in chart._points.values()}) == 3


def test_an_invalid_run_is_never_drawn_as_held() -> None:
    """However good its figures look: it is a point of its own kind, and the generator's limit is no knee."""
    trials = play(KneeTrials(GATES, search()), 5000, capable=300)
    chart = KneeChart()
    chart.draw(trials, None)
    assert min(drawn(chart, Outcome.SPOILED)) > 300 >= max(drawn(chart, Outcome.HELD))
    assert drawn(chart, Outcome.MISSED) == []
    assert trials.breaks_after is None
    assert list(chart._knee_word.text) == [""]
    assert max(chart._knee.y) < chart._late.min
    assert "the generator is the bottleneck" in trials.sentence()
    assert "INVALID" in trials.tally()
    assert "INVALID  the generator lagged" in chart._words.value


def test_a_search_is_drawn_while_it_goes_on() -> None:
    """What plays now is a point of its own; what is known is `so far`; nothing known is said so."""
    trials, chart = KneeTrials(GATES, search()), KneeChart()
    assert chart.widget.children == ()
    assert trials.next() == 50
    chart.draw(trials, RunProgress())
    assert "no run has ended yet" in chart._words.value
    assert "50 players play" in chart._words.value
    trials.take(verdict(50, 70))
    assert trials.next() == 100
    chart.draw(trials, None)
    assert "more were not tried (so far)" in chart._words.value
    trials.take(verdict(100, 70))
    trials.next()
    chart.draw(trials, None)
    assert list(chart._knee_word.text) == ["knee so far: 50 players"]
    trials.finish()
    assert "not sure: more runs are needed" in trials.sentence()


@pytest.mark.parametrize("gates", [(), ("lost==0",), ("latency_p99>1ms",)])
def test_a_search_needs_a_bound_on_the_latency(gates: tuple[str, ...]) -> None:
    """Without a line to break there is nothing to draw, and that is said."""
    with pytest.raises(ValueError, match="expected a gate like latency_p99<100ms"):
        KneeTrials(gates, search())


@pytest.mark.parametrize(("low", "high"), [(55.0, 100.0), (0.001, 60.0), (100.0, 100.0), (9.99, 10.01), (1.0, 9000.0)])
def test_the_axis_holds_all_values(low: float, high: float) -> None:
    """Its steps begin at or below the least value and end above the greatest, and are few and round."""
    steps = around(low, high)
    assert steps[0] <= low * 1.00001
    assert steps[-1] > high
    assert 2 <= len(steps) <= 9
    assert all(math.isclose(float(f"{step:.0e}"), step) for step in steps)


def test_the_band_of_each_run_is_drawn() -> None:
    """From the lower bound to the p99, on the chart's logarithmic axis; a run without one, or without end, has none."""
    chart, trials = KneeChart(), KneeTrials(GATES, search())
    for verdict in (
        RunVerdict("PASS", (), {"latency_p99": 0.05}, {"latency_p99": 0.04}),
        RunVerdict("PASS", (), {"latency_p99": 0.08}, {"latency_p99": 0.06}),
        RunVerdict("PASS", (), {"latency_p99": 0.05}),
        RunVerdict("INVALID", ("a reason",), {"latency_p99": float("inf")}, {"latency_p99": 0.04}),
    ):
        trials.next()
        trials.take(verdict)
    chart.draw(trials, None)
    assert chart._bands.x.tolist() == [[one.players] * 2 for one in trials.trials[:2]]
    assert chart._bands.y[0].tolist() == pytest.approx([math.log10(40), math.log10(50)])
    assert chart._bands.y[1].tolist() == pytest.approx([math.log10(60), math.log10(80)])
    assert "p99 50.0 ms, at least 40.0" in str(trials.trials[0])
