"""A run with injected faults, judged a second time without the seconds of the faults.

A fault is a `mark` line that has `until`: the Unix time at which the service had recovered, null if that was not seen
before the end. All seconds that overlap the time from `at` to `MARGIN` after `until` are left out. Metrics whose row
has `per_second` are computed from the remaining `second` lines; all others – `lost`, `unanswered`, `converged` and
whatever cannot be placed in time – are those of the whole run.

The lag of the remaining seconds is that of sending, receiving and event loop together: seconds do not separate them.

Pure: the lines of a run in, a judgement out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from loadtest.judge.gates import MIN_MEASURED, Judgement, cut_short, judge, parse_gates
from loadtest.measure.cpu_waiting import NOTABLE, in_words
from loadtest.measure.metrics import METRICS, headlines, lower_bounds, metrics, relieved_bounds
from loadtest.measure.run_totals import JUDGED_COURSES, Second, Tally

MARGIN: Final = 1.0  # seconds after the recovery: by then, updates delayed by the fault have arrived

Line = Mapping[str, Any]
Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class OutsideFaults:
    """The judgement without the faults' seconds.

    `left_out` are the spans that were left out and `start` is the start of the run (Unix seconds); `seconds` of the
    `measured` seconds were left out. `over_all` names the gated metrics whose values are those of the whole run.
    """

    judgement: Judgement
    metrics: Mapping[str, float | None]
    lower: Mapping[str, float]
    left_out: tuple[Span, ...]
    start: float
    seconds: int
    measured: int
    over_all: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """The verdict, its reasons, the most important figures, and the seconds left out: one sentence each."""
        verdict = f"outside the faults: {self.judgement.verdict.name}"
        return [verdict, *self.judgement.reasons, "; ".join(headlines(self.metrics, self.lower)), self._what]

    @property
    def _what(self) -> str:
        spans = ", ".join(f"{begin - self.start:.1f}–{end - self.start:.1f} s" for begin, end in self.left_out)
        note = f"; judged over all of the run: {', '.join(self.over_all)}" if self.over_all else ""
        return f"left out: {self.seconds} of {self.measured} measured seconds, those in {spans} of the run{note}"


def judge_outside_faults(lines: Sequence[Line]) -> OutsideFaults | None:
    """The judgement of a finished run without its faults' seconds; None if there is no fault or no result."""
    seconds = [Second.from_dict(line) for line in lines if line["kind"] == "second"]
    result = lines[-1] if lines and lines[-1]["kind"] == "result" else None
    if result is None or not seconds or not (spans := _spans(lines, float(seconds[-1].at))):
        return None
    kept = [second for second in seconds if not _touches(second, spans)]
    measured, left = (sum(second.phase == "measure" for second in some) for some in (seconds, kept))
    tally = _tally(kept)
    known = {name: value for name, value in metrics(tally, 0).items() if METRICS[name].per_second}
    combined = {**result["metrics"], **known}
    gates = parse_gates(lines[0]["arguments"]["gates"])
    short = [*_whole_was_short(lines[0], result), *_too_little(left)]
    lower = {name: bound for name, bound in result.get("atLeast", {}).items() if not METRICS[name].per_second}
    lower |= {name: bound for name, bound in lower_bounds(tally).items() if METRICS[name].per_second}
    totals = result["totals"]
    waited = totals.get("waited", {})
    tally.waited = waited
    judgement = judge(
        combined, gates, wrong=totals["wrong"], lower=lower, relieved=relieved_bounds(tally),
        waited=in_words(waited, NOTABLE), short=short,
    )  # fmt: skip
    over_all = tuple(dict.fromkeys(gate.metric for gate in gates if not METRICS[gate.metric].per_second))
    return OutsideFaults(judgement, combined, lower, spans, seconds[0].at - 1.0, measured - left, measured, over_all)


def _spans(lines: Iterable[Line], end: float) -> tuple[Span, ...]:
    """The times to leave out, in order and without overlaps."""
    faults = sorted(
        (float(line["at"]), end if line["until"] is None else float(line["until"]) + MARGIN)
        for line in lines
        if line["kind"] == "mark" and "until" in line
    )
    merged: list[Span] = []
    for begin, over in faults:
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], over)
        else:
            merged.append((begin, over))
    return tuple(merged)


def _touches(second: Second, spans: Iterable[Span]) -> bool:
    return any(second.at > begin and second.at - 1 < end for begin, end in spans)


def _tally(seconds: Sequence[Second]) -> Tally:
    """The totals of the seconds, restricted to what `per_second` metrics need."""
    measured = [second for second in seconds if second.phase == "measure"]
    tally = Tally(seconds=float(len(measured)))
    for one in seconds:
        _add(tally, one)
    tally.counts.updates = sum(one.sent for one in measured)
    tally.counts.pairs_received = tally.latency.count
    tally.absent = max((one.absent for one in measured), default=0)
    for one in measured:
        _add_load(tally, one)
    return tally


def _add(tally: Tally, second: Second) -> None:
    for name in ("latency", "ack", "skew", "inside", *JUDGED_COURSES):
        getattr(tally, name).merge(getattr(second, name))
    tally.receive_lag.merge(second.lag)
    tally.counts.versions_owed += second.owed
    tally.counts.versions_missed += second.missed
    tally.errors[""] += second.errors
    tally.closes[""] += second.closes


def _add_load(tally: Tally, second: Second) -> None:
    for name, share in second.cpu.items():
        tally.busy.setdefault(name, []).append(share)
    for url, load in second.service.items():
        used = tally.service.setdefault(url, {"cpuSeconds": 0.0, "seconds": 0.0, "memory": []})
        used["cpuSeconds"] += load["cpu"]
        used["seconds"] += 1.0
        used["memory"].append(load["memory"])


def _whole_was_short(facts: Line, result: Line) -> list[str]:
    return cut_short(result["totals"]["seconds"], facts["arguments"].get("measureSeconds") or None)


def _too_little(left: int) -> list[str]:
    if left >= MIN_MEASURED:
        return []
    return [f"{left} measured seconds lie outside the faults, at least {MIN_MEASURED:g} are needed"]
