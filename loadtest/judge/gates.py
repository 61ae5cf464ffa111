"""The gates of a run, and its verdict.

A gate is a metric, a comparison and a bound: `latency_p99<50ms`, `reach>=0.9999`, `lost==0`. A bound
may have a unit (`us`, `ms`, `s`, `%`); internally, seconds and plain ratios are compared.

A time has a band: its value is an upper bound, and beside it stands a lower one. A gate holds if it holds at both ends
of the band, and breaks if it breaks at both. In between the run does not say, and is INVALID, with both ends told.

INVALID does not mean that the service failed: the answer depends on the load generator, on its neighbours or on what
was not offered, so the figures prove nothing, in either direction.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Self

from loadtest.measure.metrics import METRICS, UNBOUNDED

Values = Mapping[str, float | None]  # of metrics, by name

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

LEAST_SENT: Final = 0.999  # of the updates that were intended
LATEST_SENT: Final = 0.050  # seconds: the sending lag at p99, if no bound on the latency asks for less
SHARE_OF_BOUND: Final = 0.25  # of the tightest bound on the latency: the sending lag at p99
OWN_READING: Final = 1.0  # seconds: who reads later may have been closed for it, and missed pings

# Seconds, if only --run-time or a person ends the run: the shortest time that always contains two whole seconds of
# the clock, in which it is known who was connected.
MIN_MEASURED: Final = 3.0
# Seconds that may be missing at the end: processes do not begin and end in the same instant.
MOMENT: Final = 0.25

HELD: Final = {True: "✓ held", False: "✗ MISSED", None: "? open"}  # a gate in words
# What to do about a run that does not say.
AGAIN: Final = "let it run to its end"
LOOK_AT_ERRORS: Final = "see in errors and closes why players were missing"
KEEP_UP: Final = "more cores for the generator (--processes), or fewer players"
SCORE: Final = "use a higher --rate, or a longer --duration"
QUIETER: Final = "repeat it on a quieter machine, or move the bound away"
ALONE: Final = "end what else runs here, or give the service its own cores"

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

    def holds(self, metrics: Values, lower: Mapping[str, float] | None = None) -> bool | None:
        """Whether the metric is within the bound: None if only one end of its band is.

        `lower` holds the lower bounds, by metric. A metric that was not measured is never within its bound.
        """
        value = metrics.get(self.metric)
        if value is None or math.isnan(value):
            return False
        least = (lower or {}).get(self.metric)
        ends = value, value if least is None else min(least, value)
        held = {COMPARISONS[self.comparison](end, self.bound) for end in ends}
        if self.comparison == "==" and ends[1] <= self.bound <= ends[0]:
            held.add(True)
        return held.pop() if len(held) == 1 else None


def parse_gates(texts: Iterable[str]) -> list[Gate]:
    """The gates in the texts; blanks separate several in one. Raises ValueError, also for unknown metrics."""
    gates = [Gate.parse(part) for text in texts for part in text.split()]
    for gate in gates:
        if gate.metric not in METRICS:
            raise ValueError(f"{gate.text}: expected a metric, one of {', '.join(sorted(METRICS))}; got {gate.metric}")
    return gates


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and its reasons, one sentence each; `gates` are pairs (text, held), None for what is not decided.

    `advice` is what to do about an INVALID one, a clause each.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    gates: tuple[tuple[str, bool | None], ...]
    advice: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The judgement as JSON-ready values."""
        gates = [{"gate": text, "held": held} for text, held in self.gates]
        return {
            "verdict": self.verdict.name, "exit": int(self.verdict), "reasons": list(self.reasons), "gates": gates,
            "advice": list(self.advice),
        }  # fmt: skip


def in_figures(
    gates: Iterable[tuple[str, bool | None]], metrics: Values, lower: Mapping[str, float]
) -> list[tuple[str, str, str]]:
    """Of each gate of a judgement whether it held, its text, and the figure with its band."""
    found = []
    for text, held in gates:
        name = Gate.parse(text).metric
        metric = METRICS.get(name)  # none in the file of another version
        figure = "–" if metric is None else metric.text(metrics.get(name), lower.get(name))
        found.append((HELD[held], text, figure))
    return found


def gate_lines(gates: Iterable[tuple[str, bool | None]], metrics: Values, lower: Mapping[str, float]) -> list[str]:
    """`in_figures` as a line for each gate, where columns are not aligned."""
    return [f"{held} {text}: {figure}" for held, text, figure in in_figures(gates, metrics, lower)]


def clock_was_set(step: float) -> str:
    """What it means that the generator's clock was set by so many seconds."""
    how = "forward" if step > 0 else "back"
    return f"the generator's clock was set {how} by {abs(step):.3f} s: of pairs in flight then less is known"


def not_offered(metrics: Values, gates: Iterable[Gate]) -> dict[str, str]:
    """What the generator did not offer of the load that was asked for → what to do; empty if it offered all.

    All players were connected in every measured second, breaks of the scenario apart; the updates were sent; and they
    were sent in time for what the gates ask.
    """
    reasons = _away(metrics)
    updates, unsent = metrics.get("updates"), metrics.get("unsent") or 0
    if not updates:
        return reasons | {"no update fell into the measured time": SCORE}
    if unsent > (1 - LEAST_SENT) * updates:
        sent = f"the generator sent {updates - unsent:.0f} of {updates:.0f} updates, {LEAST_SENT:.1%} are needed"
        reasons[sent] = KEEP_UP
    lag, allowed = metrics.get("send_lag_p99"), _latest_sending(gates)
    if lag is not None and lag > allowed:
        reasons[f"the generator sent {lag * 1e3:.4g} ms late at p99, {allowed * 1e3:.4g} ms are allowed"] = KEEP_UP
    return reasons | _closed_for_its_own_reading(metrics)


def _away(metrics: Values) -> dict[str, str]:
    asked, connected, absent = (metrics.get(name) for name in ("players_asked", "players", "absent"))
    if asked is not None and connected is not None and connected < asked:
        return {f"{asked:.0f} players were asked for, {connected:.0f} took part": LOOK_AT_ERRORS}
    if absent:
        return {f"{absent:.0f} players were not connected in a measured second": LOOK_AT_ERRORS}
    return {}


def _latest_sending(gates: Iterable[Gate]) -> float:
    bounds = [gate.bound for gate in gates if gate.metric.startswith("latency_") and gate.comparison in {"<", "<="}]
    return min([LATEST_SENT, *(SHARE_OF_BOUND * bound for bound in bounds)])


def _closed_for_its_own_reading(metrics: Values) -> dict[str, str]:
    read = metrics.get("receive_lag_max")
    if metrics.get("closes") and read is not None and read > OWN_READING:
        late = f"the generator read up to {read:.1f} s late: the service may have closed connections for it"
        return {late: KEEP_UP}
    return {}


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
    metrics: Values,
    gates: Iterable[Gate],
    *,
    wrong: Sequence[str],
    lower: Mapping[str, float] | None = None,
    relieved: Mapping[str, float] | None = None,
    waited: Mapping[str, str] | None = None,
    short: Sequence[str] = (),
) -> Judgement:
    """The verdict. Wrong scores are FAIL, whoever lagged; then what was not offered is INVALID; then the gates decide.

    `wrong` are the correctness checks that failed, `lower` the lower bounds of the metrics with a band, and `relieved`
    those without the time in which others kept the service from a CPU; `waited` tells of each process how long that
    was, `short` comes from `cut_short`.
    """
    gates = list(gates)
    outcomes = tuple((gate, _outcome(gate, metrics, lower or {}, relieved or {})) for gate in gates)
    missing = not_offered(metrics, gates)
    invalid = [*short, *missing]
    broken = [_told(gate, metrics, lower) for gate, held in outcomes if held is False]
    open_ = [_told(gate, metrics, lower, relieved) for gate, held in outcomes if held is None]
    undecided = [QUIETER] if open_ else []
    if waited and (invalid or open_):
        undecided.append(ALONE)
        open_ += [f"others kept {name} from a CPU for {told}" for name, told in waited.items()]
    if wrong:
        verdict = Verdict.FAIL
    elif invalid or (open_ and not broken):
        verdict = Verdict.INVALID
    else:
        verdict = Verdict.FAIL if broken else Verdict.PASS
    advice = (*([AGAIN] if short else []), *missing.values(), *undecided) if verdict is Verdict.INVALID else ()
    return Judgement(
        verdict,
        (*wrong, *invalid, *broken, *open_),
        tuple((gate.text, held) for gate, held in outcomes),
        tuple(dict.fromkeys(advice)),
    )


def _outcome(gate: Gate, metrics: Values, lower: Mapping[str, float], relieved: Mapping[str, float]) -> bool | None:
    """Whether the gate held; one that would not break if others had left the service its CPUs is not decided."""
    held = gate.holds(metrics, lower)
    return None if held is False and gate.holds(metrics, {**lower, **relieved}) is not False else held


def _told(
    gate: Gate, metrics: Values, lower: Mapping[str, float] | None, relieved: Mapping[str, float] | None = None
) -> str:
    """The gate and what the metric was, with its band if it has one, and what of it others may have caused."""
    value, least = metrics.get(gate.metric), (lower or {}).get(gate.metric)
    if value is None or math.isnan(value):
        return f"{gate.text}: it was not measured"
    metric = METRICS.get(gate.metric)
    if metric is None or not metric.is_time:
        return f"{gate.text}: it was {value:.7g}"
    if least is None or least >= value:
        return f"{gate.text}: it was {_milliseconds(value)}"
    told = f"{gate.text}: it was between {_milliseconds(least)} and {_milliseconds(value)}"
    without = (relieved or {}).get(gate.metric, least)
    return told if without >= least else f"{told}, {_milliseconds(without)} without others"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.4g} ms" if math.isfinite(seconds) else UNBOUNDED
