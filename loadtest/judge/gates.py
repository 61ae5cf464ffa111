"""The gates of a run, and its verdict.

A gate is a metric, a comparison and a bound: `latency_p99<50ms`, `reach>=0.9999`, `lost==0`. A bound
may have a unit (`us`, `ms`, `s`, `%`); internally, seconds and plain ratios are compared.

INVALID does not mean that the service failed: the generator itself was the bottleneck, or the run
was cut short, so its figures prove nothing, in either direction.
"""

from __future__ import annotations

import itertools
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Self

from loadtest.measure.metrics import METRICS

COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
UNITS: Final[dict[str, float]] = {"": 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "%": 1e-2}
# The gates of every scenario; each scenario adds a bound on the latency (`scenarios.default_gates`).
DEFAULT_GATES: Final = ("reach>=0.9999", "lost==0", "unanswered==0", "errors==0")

MAX_LAG: Final = 0.005  # seconds: below this, the generator's lag never makes a run INVALID
MAX_LAG_SHARE: Final = 0.2  # of the latency, both at p99
MAX_CPU: Final = 0.8  # of one core, in one second
MAX_BUSY_SHARE: Final = 0.02  # of all seconds

# Seconds, if only --run-time or a person ends the run: the shortest time that always contains two whole seconds of
# the clock, and so the shortest in which a generator that is busy for two consecutive seconds can be detected.
MIN_MEASURED: Final = 3.0
# Seconds that may be missing at the end: processes do not begin and end in the same instant.
MOMENT: Final = 0.25

_GATE = re.compile(r"\s*([a-z][a-z0-9_.]*)\s*(<=|>=|==|<|>)\s*(-?\d+(?:\.\d+)?)\s*(us|ms|s|%|)\s*")


class Verdict(IntEnum):
    """The outcome of a run; the value is the exit status."""

    PASS = 0
    FAIL = 3
    INVALID = 4


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition on one metric; `bound` is in seconds if the metric is a time."""

    metric: str
    comparison: str
    bound: float
    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """The gate that `text` describes. Raises ValueError with what was expected and what came."""
        match = _GATE.fullmatch(text)
        if match is None:
            raise ValueError(f"expected a gate like latency_p99<50ms or lost==0, got {text!r}")
        metric, comparison, number, unit = match.groups()
        return cls(metric, comparison, float(number) * UNITS[unit], text.strip())

    def holds(self, metrics: Mapping[str, float | None]) -> bool:
        """Whether the metric is within the bound. A metric that was not measured is never within it."""
        value = metrics.get(self.metric)
        return value is not None and not math.isnan(value) and COMPARISONS[self.comparison](value, self.bound)


def parse_gates(texts: Iterable[str]) -> list[Gate]:
    """The gates in the texts; blanks separate several in one. Raises ValueError, also for unknown metrics."""
    gates = [Gate.parse(part) for text in texts for part in text.split()]
    for gate in gates:
        if gate.metric not in METRICS:
            raise ValueError(f"{gate.text}: expected a metric, one of {', '.join(sorted(METRICS))}; got {gate.metric}")
    return gates


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and its reasons, one sentence each; `gates` are pairs (text, held)."""

    verdict: Verdict
    reasons: tuple[str, ...]
    gates: tuple[tuple[str, bool], ...]

    def to_dict(self) -> dict[str, Any]:
        """The judgement as JSON-ready values."""
        gates = [{"gate": text, "held": held} for text, held in self.gates]
        return {"verdict": self.verdict.name, "exit": int(self.verdict), "reasons": list(self.reasons), "gates": gates}


def clock_was_set(step: float) -> list[str]:
    """Why times cannot be believed if the generator's clock was set by so many seconds; empty for 0."""
    how = "forward" if step > 0 else "back"
    return [f"the generator's clock was set {how} by {abs(step):.3f} s: times across it are wrong"] if step else []


def bottleneck(metrics: Mapping[str, float | None], busy: Mapping[str, Sequence[float]]) -> list[str]:
    """Why the generator was the bottleneck; empty if it was not.

    `busy` maps each generator process to its CPU share of one core in each measured second.
    """
    overloaded = _overloaded(busy)
    reasons = [*overloaded, *_lagged(metrics, "was late by" if overloaded else "lagged")]
    asked, connected = metrics.get("players_asked"), metrics.get("players")
    if asked is not None and connected is not None and connected < asked:
        reasons.append(f"{asked:.0f} players were asked for, {connected:.0f} took part")
    if not metrics.get("updates"):
        reasons.append("no update fell into the measured time")
    return reasons


def _lagged(metrics: Mapping[str, float | None], did: str) -> list[str]:
    latency, lag = metrics.get("latency_p99"), metrics.get("lag_p99")
    if lag is not None and not math.isnan(lag):
        allowed = MAX_LAG if latency is None or math.isnan(latency) else max(MAX_LAG, MAX_LAG_SHARE * latency)
        if lag > allowed:
            return [f"the generator {did} {lag * 1e3:.1f} ms at p99, at most {allowed * 1e3:.1f} ms is allowed"]
    return []


def _overloaded(busy: Mapping[str, Sequence[float]]) -> list[str]:
    reasons: list[str] = []
    for name, shares in busy.items():
        over = [share > MAX_CPU for share in shares]
        in_a_row = any(one and two for one, two in itertools.pairwise(over))
        if in_a_row or sum(over) > MAX_BUSY_SHARE * len(over):
            used = f"{name} used more than {MAX_CPU:.0%} of a core in {sum(over)} of {len(over)} s"
            reasons.append(f"the generator was overloaded: {used}")
    return reasons


def cut_short(measured: float, asked: float | None, by: str = "interrupted") -> list[str]:
    """Why the measured seconds are too few to judge; empty if they are enough.

    `asked` is None if no duration was given; `by` says what ended the run.
    """
    if asked is not None and measured < asked - MOMENT:
        return [f"{by} after {measured:.1f} of {asked:.4g} s"]
    if asked is None and measured < MIN_MEASURED:
        least = f"at least {MIN_MEASURED:g} s are needed"
        return [f"{measured:.1f} s measured, {least}: use a longer --run-time or --measure 30"]
    return []


def judge(
    metrics: Mapping[str, float | None],
    gates: Iterable[Gate],
    *,
    wrong: Sequence[str],
    busy: Mapping[str, Sequence[float]],
    short: Sequence[str] = (),
    clock_step: float = 0.0,
) -> Judgement:
    """The verdict: INVALID before FAIL before PASS.

    `wrong` are the correctness checks that failed, `busy` is as in `bottleneck`, `short` comes from `cut_short`,
    `clock_step` is as in `clock_was_set`.
    """
    outcomes = tuple((gate, gate.holds(metrics)) for gate in gates)
    # A clock that was set shows as lag of the same size, which is none.
    timed = {**metrics, "lag_p99": None} if clock_step else metrics
    invalid = [*short, *clock_was_set(clock_step), *bottleneck(timed, busy)]
    failed = [*wrong, *(_missed(gate, metrics) for gate, held in outcomes if not held)]
    verdict = Verdict.INVALID if invalid else Verdict.FAIL if failed else Verdict.PASS
    return Judgement(verdict, (*invalid, *failed), tuple((gate.text, held) for gate, held in outcomes))


def _missed(gate: Gate, metrics: Mapping[str, float | None]) -> str:
    value = metrics.get(gate.metric)
    if value is None or math.isnan(value):
        return f"{gate.text}: it was not measured"
    metric = METRICS.get(gate.metric)
    if metric is not None and metric.is_time:
        return f"{gate.text}: it was {value * 1e3:.4g} ms"
    return f"{gate.text}: it was {value:.7g}"
