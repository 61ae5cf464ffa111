"""A run as one self-contained HTML page, for readers who did not see the run: charts, figures, the method.

Pure: the lines of a run in, HTML out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from loadtest.judge.gates import clock_was_set, gate_lines
from loadtest.judge.without_fault_seconds import judge_outside_faults
from loadtest.measure.cpu_waiting import in_words
from loadtest.measure.histogram import Histogram
from loadtest.measure.metrics import FAMILIES, FIGURES, STATISTICS, family_values
from loadtest.measure.run_totals import PERCENTILES
from loadtest.report.svg import COLOURS, SvgChart, stacked
from loadtest.report.text import cell, in_short

Line = Mapping[str, Any]

METHOD: Final = """
<p>Every score is an update that every player in the room is owed. Each (update, receiver) pair is measured, from the
<em>intended</em> time of the score – the schedule is fixed before the run, so a slow service cannot slow down the
updates – to the time when the receiver's kernel had the board that includes it. That is an upper bound: what the
generator sends or reads late only adds to it. The lower bound runs from the moment at which the kernel had taken the
score to the earliest moment at which the board can have come. One process reads all times. The answer to the sender
names the version of the state that includes the update; the first board of that version or a later one delivers it.</p>
<p>Percentiles come from histograms with buckets of at most 1.6 % width, which are merged over seconds and processes
and never averaged. Reach is the share of versions that receivers saw, counted over all processes. At the end, every
client must hold the service's final board, and the scores must be the sum of what was acknowledged.</p>
<p>A gate holds if the upper bound is within it, and breaks if the lower one is not. In between the run is INVALID, and
proves nothing in either direction; so is one whose load was not offered: players who were not connected, scores that
were not sent, or sent too late for what the gates ask.</p>
"""
_STYLE: Final = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2em auto;padding:0 1em}
h1 b,.verdict{padding:.1em .5em;border-radius:.25em;color:#fff}
.PASS{background:#007A5A}.FAIL{background:#B34700}.INVALID,.UNFINISHED{background:#5A5A5A}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
td,th{padding:.2em .6em;text-align:right;border-bottom:1px solid #8884}
td:first-child,th:first-child{text-align:left}
figure{margin:1.6em 0}figcaption{font-weight:600;margin-bottom:.3em}
svg{width:100%;height:auto;font:12px system-ui,sans-serif}svg text{fill:currentColor}
.grid{stroke:currentColor;opacity:.18}.axis{stroke:currentColor;fill:none}
.mark{paint-order:stroke;stroke:Canvas;stroke-width:3px}
aside{border:1px solid #8886;border-left:4px solid #0072B2;padding:.4em 1em;margin:2em 0}
small{opacity:.75}
.short{font-size:1.2em}
@media(max-width:520px){td,th{padding:.2em .25em;font-size:12px}}
"""


def page(lines: Sequence[Line]) -> str:
    """The whole page. Raises ValueError if the lines are not a run; an unfinished run has no verdict."""
    if not lines or lines[0].get("kind") != "run":
        raise ValueError("expected the lines of a run, the first of kind run")
    facts = lines[0]
    seconds = [line for line in lines if line["kind"] == "second"]
    result = lines[-1] if lines[-1]["kind"] == "result" else None
    verdict = result["verdict"] if result else "UNFINISHED"
    what = f"{facts['scenario']}, {facts['arguments']['players']} players"
    parts = [
        f"<h1><b class='{verdict}'>{verdict}</b> {escape(what)}</h1>",
        f"<p>{escape(str(facts['started']))} · {escape(str(facts['target']))} · session {escape(facts['session'])}</p>",
    ]
    if result:
        parts += [
            f"<p class=short>{escape(in_short(result))}</p>",
            *_reasons(result),
            *_outside_faults(lines),
            _figures(result),
            *_counts(result),
        ]
    if seconds:
        parts += _pictures(lines, seconds, result)
    parts += [
        "<aside><h2>How this was measured</h2>",
        METHOD,
        "</aside>",
        _setting(facts),
    ]
    title = escape(f"{verdict} {what}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>{"".join(parts)}</html>\n'
    )


def faults(lines: Sequence[Line]) -> list[tuple[float, str]]:
    """What was done to the service or went wrong, with its time: marks, lost connections, errors, silence."""
    found = [(float(line["at"]), str(line["text"])) for line in lines if line["kind"] == "mark"]
    for line in lines:
        if line["kind"] != "second":
            continue
        words = [f"{line[name]} {name}" for name in ("closes", "errors") if line[name]]
        if line["phase"] == "measure" and not line["frames"]:
            words.append("nothing received")
        if words:
            found.append((line["at"] - 0.5, ", ".join(words)))
    return sorted(found)


def _reasons(result: Line) -> list[str]:
    gates = [(gate["gate"], gate["held"]) for gate in result["gates"]]
    return [
        *_list("Why", result["reasons"]),
        *_list("What to do", result.get("advice", [])),
        *_list("Gates", gate_lines(gates, result["metrics"], result.get("atLeast", {}))),
    ]


def _list(title: str, texts: Iterable[str]) -> list[str]:
    items = [f"<li>{escape(text)}</li>" for text in texts]
    return [f"<h2>{title}</h2><ul>", *items, "</ul>"] if items else []


def _outside_faults(lines: Sequence[Line]) -> list[str]:
    outside = judge_outside_faults(lines)
    if outside is None:
        return []
    gates = gate_lines(outside.judgement.gates, outside.metrics, outside.lower)
    items = "".join(f"<li>{escape(text)}</li>" for text in (*outside.lines[1:], *gates))
    verdict = outside.judgement.verdict.name
    return [f"<h2>Outside the faults: <span class='verdict {verdict}'>{verdict}</span></h2><ul>{items}</ul>"]


def _figures(result: Line) -> str:
    head = "".join(f"<th>{name}</th>" for name in ("milliseconds", *STATISTICS))
    rows = []
    for family, label in FAMILIES.items():
        rows.append(_row(label, family_values(family, result["metrics"])))
        if any(least := family_values(family, result.get("atLeast", {}))):
            rows.append(_row("<small>at least</small>", least))
    return f"<h2>Times</h2><table><tr>{head}</tr>{''.join(rows)}</table>"


def _row(label: str, values: Sequence[float | None]) -> str:
    cells = "".join(f"<td>{cell(value)}</td>" for value in values)
    return f"<tr><td>{label}</td>{cells}</tr>"


def _counts(result: Line) -> list[str]:
    """The metrics that are not statistics of a time, and the totals that are not metrics."""
    totals = result["totals"]
    rows = [(metric.label, metric.meaning, metric.text(result["metrics"].get(metric.name))) for metric in FIGURES]
    rows += [
        ("frames received", "", f"{totals['frames']:,}, {totals['bytes'] / 1e6:,.1f} MB"),
        ("errors by code", "", _by_code(totals["errors"])),
        ("connections closed by code", "", _by_code(totals["closes"])),
        ("arrival times", "", "stamped by the kernel" if totals["stamped"] else "when read: bands are wider"),
        *(
            (f"others kept {name} from a CPU", "", waited)
            for name, waited in in_words(totals.get("waited", {})).items()
        ),
        *([("clock", "", clock_was_set(step))] if (step := totals.get("clock_step", 0.0)) else []),
    ]
    cells = (
        f"<tr><td>{escape(label)} <small>{escape(meaning)}</small></td><td>{escape(text)}</td></tr>"
        for label, meaning, text in rows
    )
    return ["<h2>Counts</h2><p><small>The rules are in docs/measuring.md.</small></p><table>", *cells, "</table>"]


def _pictures(lines: Sequence[Line], seconds: Sequence[Line], result: Line | None) -> list[str]:
    start = seconds[0]["at"] - 1
    ends = seconds[-1]["at"] - start
    span = (0.0, max(float(ends), 1.0))
    marks = [(at - start, text) for at, text in faults(lines)]

    def over_time(title: str, unit: str, drawn: Mapping[str, Sequence[float | None]], **more: Any) -> str:
        values = [value for series in drawn.values() for value in series if value is not None]
        if not values:
            return ""
        bounds = _log_bounds(values) if more.get("y_kind") == "log" else (0.0, max(*values, 1e-9) * 1.05)
        chart = SvgChart(title, span, more.pop("bounds", bounds), y_label=unit, **more)
        for at, text in marks:
            chart.rule(at, text)
        for (name, series), colour in zip(drawn.items(), COLOURS, strict=False):
            chart.line(
                name, [(line["at"] - start - 0.5, one) for line, one in zip(seconds, series, strict=True)], colour
            )
        return chart.svg()

    latency = [Histogram.from_dict(line["latency"]) for line in seconds]
    skew = [Histogram.from_dict(line["skew"]) for line in seconds if "skew" in line]
    percentiles = {name: _each(latency, _percentile(percent)) for name, percent in PERCENTILES.items()}
    drawn = [
        "<h2>Over time</h2>",
        over_time("Score → other screen: percentiles of each second", "ms", percentiles, y_kind="log"),
        _heat(latency, [line["at"] - start for line in seconds], span, marks),
        _distribution(Histogram.merged(latency)),
        _hops(result) if result else "",
    ]
    if len(skew) == len(seconds):
        reach = [1 - line["missed"] / line["owed"] if line["owed"] else None for line in seconds]
        lowest = min((one for one in reach if one is not None), default=1.0)
        drawn.append(
            over_time("Reach: versions seen of versions owed", "", {"reach": reach}, bounds=(min(lowest, 0.99), 1.0))
        )
        drawn.append(
            over_time(
                "Skew: first → last screen of one board", "ms",
                {name: _each(skew, _percentile(PERCENTILES[name])) for name in ("p50", "p99")},
            )
        )  # fmt: skip
    drawn.append(over_time("CPU, shares of a core", "", _loads(seconds)))
    return drawn


def _loads(seconds: Sequence[Line]) -> dict[str, list[float | None]]:
    generators = sorted({name for line in seconds for name in line["cpu"]})
    services = sorted({url for line in seconds for url in line.get("service", {})})
    loads: dict[str, list[float | None]] = {}
    for number, url in enumerate(services):
        name = "service" if len(services) == 1 else f"service {number}"
        loads[name] = [line["service"][url]["cpu"] if url in line.get("service", {}) else None for line in seconds]
    return loads | {name: [line["cpu"].get(name) for line in seconds] for name in generators}


def _heat(
    histograms: Sequence[Histogram],
    times: Sequence[float],
    span: tuple[float, float],
    marks: Sequence[tuple[float, str]],
) -> str:
    """Columns are seconds, rows are eighths of a power of two; darker cells hold more pairs, on a log scale."""
    columns = []
    for at, histogram in zip(times, histograms, strict=True):
        cells: dict[int, int] = {}
        for value, count in histogram.buckets():
            row = math.floor(math.log2(value) * 8)
            cells[row] = cells.get(row, 0) + count
        columns.append((at, cells))
    rows = [row for _, cells in columns for row in cells]
    if not rows:
        return ""
    low, high = 2 ** (min(rows) / 8) * 1000, 2 ** ((max(rows) + 1) / 8) * 1000
    most = math.log(1 + max(count for _, cells in columns for count in cells.values()))
    chart = SvgChart("Heat map: pairs by latency", span, _log_bounds((low, high)), y_label="ms", y_kind="log")
    for at, cells in columns:
        for row, count in cells.items():
            limits = (2 ** (row / 8) * 1000, 2 ** ((row + 1) / 8) * 1000)
            chart.cell((at - 1, at), limits, math.log(1 + count) / most)
    for at, text in marks:
        chart.rule(at, text)
    return chart.svg()


def _distribution(histogram: Histogram) -> str:
    """Shares of all pairs by latency, on a log axis; each bar is an eighth of a power of two wide."""
    shares: dict[int, float] = {}
    for value, count in histogram.buckets():
        row = math.floor(math.log2(value) * 8)
        shares[row] = shares.get(row, 0.0) + 100 * count / histogram.count
    if not shares:
        return ""
    limits = (2 ** (min(shares) / 8) * 1000, 2 ** ((max(shares) + 1) / 8) * 1000)
    chart = SvgChart(
        "Distribution of all pairs, logarithmic time axis", _log_bounds(limits), (0.0, max(shares.values()) * 1.15),
        x_label="milliseconds", y_label="% of pairs", x_kind="log",
    )  # fmt: skip
    for row, share in shares.items():
        chart.bar(2 ** (row / 8) * 1000, 2 ** ((row + 1) / 8) * 1000, share, COLOURS[0])
    for name, percent in PERCENTILES.items():
        if math.isfinite(value := histogram.percentile(percent)):
            chart.rule(value * 1000, name)
    return chart.svg()


def _hops(result: Line) -> str:
    """Means, because means add up: the delay before sending, the time inside the service, the rest.

    They are those of the oldest update in each board, because a board reports that update's time inside the service.
    """
    totals = {name: Histogram.from_dict(result["totals"][name]) for name in ("age", "send_lag", "inside")}
    if not all(one.count for one in totals.values()):
        return ""
    mean = {name: one.mean * 1000 for name, one in totals.items()}
    parts = {
        "sent late by the generator": mean["send_lag"],
        "inside the service": mean["inside"],
    }
    rest = mean["age"] - sum(parts.values())
    return stacked(
        "Hops: mean time of a board's oldest update per hop, without comparing clocks",
        parts | {"network, kernels and waiting sockets": max(rest, 0.0)}, "ms",
    )  # fmt: skip


def _setting(facts: Line) -> str:
    rows = {**facts["arguments"], **facts["environment"]}
    cells = "".join(
        f"<tr><td>{escape(str(name))}</td><td>{escape(str(value))}</td></tr>" for name, value in rows.items()
    )
    return f"<details><summary>Arguments and environment</summary><table>{cells}</table></details>"


def _percentile(percent: float) -> Callable[[Histogram], float]:
    return lambda histogram: histogram.percentile(percent) * 1000


def _each(histograms: Iterable[Histogram], figure: Callable[[Histogram], float]) -> list[float | None]:
    """The figure of each, None where nothing was measured or it has no end, which cannot be drawn."""
    figures = [figure(one) if one.count else math.inf for one in histograms]
    return [value if math.isfinite(value) else None for value in figures]


def _log_bounds(values: Iterable[float]) -> tuple[float, float]:
    """The powers of ten around the values."""
    positive = [value for value in values if value > 0] or [1.0]
    low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    return 10.0**low, 10.0 ** max(high, low + 1)


def _by_code(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} × {code}" for code, count in counts.items()) or "none"
