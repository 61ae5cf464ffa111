"""A run on one page of text, and each of its seconds on one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadtest.judge.gates import Judgement, Verdict
from loadtest.measure.run_totals import PERCENTILES, Second, Tally

WIDTH = 78


def summary(facts: Mapping[str, Any], tally: Tally, metrics: Mapping[str, float | None], judgement: Judgement) -> str:
    """The run on one page of text, `WIDTH` characters wide."""
    what = f"{facts['scenario']}, {tally.players} players, {_number(tally.seconds)} s measured"
    lines = [
        "",
        f" {judgement.verdict.name}  {what} ".ljust(WIDTH - 1, "━"),
        "",
        _row("target", f"{facts['target']}  session {facts['session']}"),
        _row("pairs", _pairs(metrics)),
        _row(
            "reach", f"{_share(metrics['reach'])} of versions at every receiver, {_count(metrics['lost'])} pairs lost"
        ),
        *_unresolved(metrics),
        _row("boards", _boards(tally, metrics)),
        _row(
            "converged",
            "yes: every client holds the final board, every score is what was acknowledged"
            if metrics["converged"]
            else "NO",
        ),
        _row("errors", _named(tally.errors, "none")),
        _row("closes", _named(tally.closes, "none")),
        "",
        " milliseconds".ljust(24) + "".join(f"{label:>9}" for label in (*PERCENTILES, "max")),
        " " + "─" * (WIDTH - 2),
    ]
    for name, label in (
        ("latency", "score → other screen"),
        ("age", "age of what is shown"),
        ("ack", "score → answer"),
        ("inside", "inside the service"),
        ("skew", "first → last screen"),
        ("connect", "connect"),
        ("join", "join"),
        ("lag", "generator's own lag"),
    ):
        values = [metrics.get(f"{name}_{label_}") for label_ in (*PERCENTILES, "max")]
        lines.append(f" {label:<23}" + "".join(f"{_milliseconds(value):>9}" for value in values))
    lines += [" " + "─" * (WIDTH - 2), ""]
    lines += [_row(f"{name}", _generator(shares)) for name, shares in sorted(tally.busy.items())]
    if not tally.stamped:
        lines.append(_row("clock", "no kernel stamps here: latencies contain the generator's own lag"))
    if metrics["generator_us_per_board"] is not None:
        lines.append(_row("", f"{metrics['generator_us_per_board']:.1f} µs CPU for each board received"))
    lines += _service(metrics)
    lines.append("")
    for number, (gate, held) in enumerate(judgement.gates):
        lines.append(_row("gates" if number == 0 else "", f"{'held  ' if held else 'MISSED'}  {gate}"))
    lines += _reasons(judgement)
    lines.append("")
    return "\n".join(lines)


def progress(second: Second) -> str:
    """A second on one line, for who waits."""
    plain = second.to_dict()
    parts = [
        f"{second.phase:<8} {second.players:>5} players {second.sent:>6} updates/s {second.latency.count:>8} pairs/s"
    ]
    if plain["latencyP99Ms"] is not None:
        parts.append(f"p50 {plain['latencyP50Ms']:.1f} p99 {plain['latencyP99Ms']:.1f} ms")
    if second.errors or second.closes:
        parts.append(f"{second.errors} errors {second.closes} closes")
    return "  ".join(parts)


def _reasons(judgement: Judgement) -> list[str]:
    if not judgement.reasons:
        return []
    title = "no judgement" if judgement.verdict is Verdict.INVALID else "why"
    return ["", *(_row(title if number == 0 else "", reason) for number, reason in enumerate(judgement.reasons))]


def _row(title: str, text: str) -> str:
    return f" {title:<12} {text}"


def _pairs(metrics: Mapping[str, float | None]) -> str:
    updates = f"{_count(metrics['updates'])} updates ({_number(metrics['updates_per_second'])}/s)"
    return f"{_count(metrics['pairs'])} (update, receiver) pairs measured, of {updates}"


def _unresolved(metrics: Mapping[str, float | None]) -> list[str]:
    if not metrics["unresolved"]:
        return []
    count = _count(metrics["unresolved"])
    return [_row("unresolved", f"{count} pairs: their epoch ended before they were shown in it")]


def _boards(tally: Tally, metrics: Mapping[str, float | None]) -> str:
    each = f"{_number(metrics['boards_per_second'])}/s with {_number(metrics['updates_per_board'])} updates each"
    return f"{each}; {tally.frames:,} frames, {tally.bytes / 1e6:,.1f} MB received"


def _service(metrics: Mapping[str, float | None]) -> list[str]:
    share, each, memory = (metrics[f"service_{name}"] for name in ("cpu", "us_per_board", "memory_max"))
    if share is None or each is None or memory is None:
        return []
    growth = metrics["service_memory_growth"] or 1.0
    text = f"{share:.0%} of a core, {each:.1f} µs for each board received, {memory / 1e6:.0f} MB ({growth - 1:+.1%})"
    return [_row("service", text)]


def _generator(shares: list[float]) -> str:
    return f"{sum(shares) / len(shares):.0%} of a core in the mean, {max(shares):.0%} at most"


def _named(counts: Mapping[str, int], none: str) -> str:
    return ", ".join(f"{count:,} × {name}" for name, count in sorted(counts.items())) or none


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}"


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _share(value: float | None) -> str:
    # Rounded down: 100 % means all.
    return "–" if value is None else "100 %" if value == 1 else f"{int(value * 1e6) / 1e4:.4f} %"


def _milliseconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value * 1000:.2f}" if value < 0.1 else f"{value * 1000:.0f}"
