"""What a chaos run found, as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def render(figures: dict[str, Any]) -> str:
    """The figures as a table that fits a screen."""
    account, options = figures["account"], figures["options"]
    lines = [
        f"chaos: store {options['store']}, {options['workers']} workers, seed {options['seed']}, "
        f"{figures['seconds']:.0f} s",
        "",
        f"{'fault':38}{'times':>6}{'in step after, median':>24}{'longest':>10}",
    ]
    for kind, count in [*sorted(figures["faults"].items()), ("all", sum(figures["faults"].values()))]:
        times = figures["in step after"].get(kind, summary(()))
        lines.append(f"  {kind:36}{count:6}{_seconds(times['p50']):>24}{_seconds(times['max']):>10}")
    lines += ["", f"{'first answer after':38}{'count':>10}{'p50':>10}{'p99':>10}{'longest':>10}"]
    for name, times in figures["latency"].items():
        shown = "".join(f"{_seconds(times[part]):>10}" for part in ("p50", "p99", "max"))
        lines.append(f"  {name:36}{times['count']:10}{shown}")
    counted = {
        "updates answered": figures["acknowledged"],
        "boards checked": figures["frames checked"],
        **figures["counts"],
        "without opId, connection lost": figures["uncertain"],
        "answered as not durable by a process then killed": figures["killed soft"],
        "… of these, degraded (not counted as lost)": figures["killed degraded"],
    }
    lines += ["", *(f"  {name:52}{value:>10}" for name, value in counted.items()), ""]
    lines += [
        f"  {'lost (players, points)':52}{len(account['lost']):>10}{_points(account['lost']):>16}",
        f"  {'doubled (players, points)':52}{len(account['doubled']):>10}{_points(account['doubled']):>16}",
        f"  {'promises broken':52}{sum(figures['findings'].values()):>10}  {figures['findings'] or ''}",
        f"  {'all boards equal, after the last answer':52}{_seconds(account['converged_after']):>10}",
    ]
    lines += [f"    {one}" for one in (account["state"], *figures["examples"]) if one]
    lines += [f"    {one['user_id']} {one['difference']:+}{one['suspects']}" for one in _first(account)]
    for number, log in figures["logs"].items():
        lines += [f"    worker {number}: {line}" for line in log[-5:]]
    if not figures["finished"]:
        lines.append("  NOT FINISHED: the time limit came first")
    lines += ["", "PASS" if figures["passed"] else "FAIL"]
    return "\n".join(lines)


def summary(seconds: Iterable[float]) -> dict[str, Any]:
    """How many, and the quantiles that are told; None where there are none."""
    values = sorted(seconds)
    last = len(values) - 1
    parts = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {"count": len(values)} | {
        name: values[min(int(len(values) * part), last)] if values else None for name, part in parts.items()
    }


def _first(account: dict[str, Any]) -> list[dict[str, Any]]:
    return [*account["lost"][:5], *account["doubled"][:5]]


def _points(wrong: Sequence[dict[str, Any]]) -> int:
    return sum(one["difference"] for one in wrong)


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f} s"
