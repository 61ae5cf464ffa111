"""A run as one page of text, and each of its seconds as one line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from loadtest.judge.gates import Judgement, Verdict, clock_was_set, in_figures
from loadtest.judge.without_fault_seconds import OutsideFaults
from loadtest.measure.cpu_waiting import in_words
from loadtest.measure.metrics import FAMILIES, FIGURES, METRICS, STATISTICS, family_values, lower_bounds
from loadtest.measure.run_totals import PERCENTILES, SERVICE, Second, Tally

MEANS = {
    Verdict.PASS: "That is within what was asked for.",
    Verdict.FAIL: "That is not what was asked for.",
    Verdict.INVALID: "Whether that is within what was asked for, this run cannot say.",
}
WIDTH = 24 + 9 * len(STATISTICS)  # of a table of times


def summary(facts: Mapping[str, Any], tally: Tally, metrics: Mapping[str, float | None], judgement: Judgement) -> str:
    """The run as one page of text, `WIDTH` characters wide."""
    what = f"{facts['scenario']}, {tally.players} players, {_number(tally.seconds)} s measured"
    lower = lower_bounds(tally)
    lines = [
        "",
        f" {judgement.verdict.name}  {what} ".ljust(WIDTH - 1, "━"),
        "",
        _row("target", f"{facts['target']}  session {facts['session']}"),
        *_figures(metrics),
        "",
        _row("received", f"{tally.frames:,} frames, {tally.bytes / 1e6:,.1f} MB"),
        _row(
            "converged",
            "yes: every client has the final board, every score as acknowledged" if metrics["converged"] else "NO",
        ),
        _row("errors", _named(tally.errors, "none")),
        _row("closes", _named(tally.closes, "none")),
        "",
        " milliseconds".ljust(24) + "".join(f"{statistic:>9}" for statistic in STATISTICS),
        " " + "─" * (WIDTH - 2),
    ]
    for family, label in FAMILIES.items():
        lines.append(_times(label, family_values(family, metrics)))
        if any(least := family_values(family, lower)):
            lines.append(_times("  at least", least))
    lines += [" " + "─" * (WIDTH - 2), ""]
    lines += [_row(f"{name}", _generator(shares)) for name, shares in sorted(tally.busy.items())]
    if not tally.stamped:
        lines.append(_row("clock", "no kernel stamps of all messages: bands are wider, by the generator's own lag"))
    for number, (name, waited) in enumerate(in_words(tally.waited).items()):
        lines.append(_row("others" if number == 0 else "", f"kept {name} from a CPU for {waited}"))
    if SERVICE not in tally.waited:
        lines.append(_row("others", "not known of the service, whose process is not here"))
    if tally.clock_step:
        lines.append(_row("clock", clock_was_set(tally.clock_step)))
    lines.append("")
    lines += _titled("gates", _gates(judgement, metrics, lower))
    lines += _reasons(judgement)
    lines.append("")
    return "\n".join(lines)


def in_short(result: Mapping[str, Any]) -> str:
    """What a finished run found, for readers who know none of its terms; `result` is the last line of its file."""
    values = {name: result["metrics"].get(name) or 0 for name in METRICS}
    late, missing = values["latency_p99"], values["lost"] + values["unanswered"]
    seen = f"99 of 100 times a score was on another player's screen within {late * 1000:,.0f} ms"
    if not late or math.isinf(late):
        seen = "too few scores were seen on the other screens to say how late"
    kept = "every score arrived" if not missing else f"{missing:,.0f} did not arrive"
    if not values["converged"]:
        kept = "the final scores are wrong"
    load = f"With {values['players']:,.0f} players and {values['updates_per_second']:,.0f} scores a second"
    return f"{load}, {seen}; {kept}. {MEANS[Verdict[result['verdict']]]}"


def outside_faults(outside: OutsideFaults) -> str:
    """The verdict outside the faults, to print below the `summary` of the whole run."""
    first, *others = outside.lines
    gates = _gates(outside.judgement, outside.metrics, outside.lower)
    return "\n".join([f" {first} ".ljust(WIDTH - 1, "━"), *(f" {line}" for line in (*others, *gates)), ""])


def progress(second: Second) -> str:
    """A second as one line, for the terminal during the run."""
    p50, p99 = (second.latency.percentile(PERCENTILES[name]) * 1000 for name in ("p50", "p99"))
    parts = [
        f"{second.phase:<8} {second.players:>5} players {second.sent:>6} updates/s {second.latency.count:>8} pairs/s"
    ]
    if math.isfinite(p99):
        parts.append(f"p50 {p50:.1f} p99 {p99:.1f} ms")
    if second.errors or second.closes:
        parts.append(f"{second.errors} errors {second.closes} closes")
    return "  ".join(parts)


def _reasons(judgement: Judgement) -> list[str]:
    if not judgement.reasons:
        return []
    title = "no judgement" if judgement.verdict is Verdict.INVALID else "why"
    return ["", *_titled(title, judgement.reasons), *_titled("what to do", judgement.advice)]


def _gates(judgement: Judgement, metrics: Mapping[str, float | None], lower: Mapping[str, float]) -> list[str]:
    told = in_figures(judgement.gates, metrics, lower)
    return [f"{held:<8}  {gate:<20}  {figure}" for held, gate, figure in told]


def _titled(title: str, texts: Sequence[str]) -> list[str]:
    """A row for each text, the first one with the title."""
    return [_row("" if number else title, text) for number, text in enumerate(texts)]


def _row(title: str, text: str) -> str:
    return f" {title:<12} {text}"


def _figures(metrics: Mapping[str, float | None]) -> list[str]:
    """The metrics that are not statistics of a time, two per line."""
    cells = [f"{metric.label:<23} {metric.text(metrics.get(metric.name)):>12}" for metric in FIGURES]
    return [" " + "    ".join(cells[start : start + 2]).rstrip() for start in range(0, len(cells), 2)]


def _generator(shares: list[float]) -> str:
    return f"{sum(shares) / len(shares):.0%} of a core on average, {max(shares):.0%} at most"


def _named(counts: Mapping[str, int], none: str) -> str:
    return ", ".join(f"{count:,} × {name}" for name, count in sorted(counts.items())) or none


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}"


def _times(label: str, values: Sequence[float | None]) -> str:
    return f" {label:<23}" + "".join(f" {cell(value):>8}" for value in values)


def cell(value: float | None) -> str:
    """A time in a table of milliseconds, in six signs at most below 1000 s: no decimals from 100 ms on."""
    if value is None:
        return "–"
    if math.isinf(value):
        return "∞"
    return f"{value * 1000:.2f}" if value < 0.1 else f"{value * 1000:.0f}"
