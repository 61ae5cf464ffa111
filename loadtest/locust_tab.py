"""A tab in Locust's web UI: the figures of the broadcast, the same as in the file and the verdict.

Locust's page draws the tabs and tables that its template's arguments name, and takes their rows from
`extended_stats` in the answer that it requests every two seconds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

from loadtest.measure.histogram import LOWER_EDGE, MIDDLE, UPPER_EDGE, Histogram
from loadtest.measure.metrics import FAMILIES, FIGURES, METRICS, STATISTICS, family_values
from loadtest.measure.run_totals import BOUNDED, COURSES, PERCENTILES

if TYPE_CHECKING:  # it loads Locust, which patches sockets; a reader of rows must not get that
    from loadtest.load.run_phases import Coordinator

KEY: Final = "broadcast"
WHAT: Final = "what"  # not `name`, by which the page would sort the rows
AT_LEAST: Final = "… at least"  # the row of lower bounds, below that of the upper ones
_COLUMNS: Final = {statistic: statistic.replace(".", "") for statistic in STATISTICS}


def add_to(web_ui: Any, coordinator: Coordinator) -> None:
    """Add the tab to the web UI of the master or only process."""
    web_ui.template_args |= {
        "extended_tabs": [{"title": "Broadcast", "key": KEY}],
        "extended_tables": [{"key": KEY, "structure": _structure()}],
    }

    def add_figures(answer: Any) -> Any:
        from flask import request  # noqa: PLC0415 - installed with Locust's web UI, needed only there

        if request.path == "/stats/requests" and answer.is_json:
            stats = answer.get_json() | {"extended_stats": [{"key": KEY, "data": rows(coordinator)}]}
            answer.set_data(json.dumps(stats))
        elif request.path == "/stats/report" and coordinator.page:
            answer.set_data(with_verdict(answer.get_data(as_text=True), coordinator.page))
        return answer

    web_ui.app.after_request(add_figures)


def with_verdict(report: str, page: str) -> str:
    """Locust's HTML report with a run's page of text above it."""
    style = "font:14px/1.4 monospace;background:#fff;color:#000;padding:1em;margin:0;overflow:auto"
    return report.replace("<body>", f'<body><pre id="verdict" style="{style}">{escape(page)}</pre>', 1)


def rows(coordinator: Coordinator) -> list[dict[str, Any]]:
    """The table's rows, times in milliseconds: the verdict with its reasons, the totals so far, then all metrics."""
    seen, judgement = coordinator.so_far, coordinator.judgement
    found: list[dict[str, Any]] = []
    if judgement is not None:
        found.append({WHAT: f"verdict of the last run: {judgement.verdict.name}"})
        found += [{WHAT: reason} for reason in judgement.reasons]
        found += [{WHAT: f"→ {advice}"} for advice in judgement.advice]
    for name in COURSES:
        bounded = name in BOUNDED
        found.append(_so_far(FAMILIES[name], getattr(seen, name), UPPER_EDGE if bounded else MIDDLE))
        if bounded:
            found.append(_so_far(AT_LEAST, getattr(seen, f"{name}_lower"), LOWER_EDGE))
    reach = 1 - seen.missed / seen.owed if seen.owed else None
    found.append({WHAT: f"reach {METRICS['reach'].text(reach)}", "count": seen.owed})
    if judgement is not None:
        found += _of_run(coordinator.measured, coordinator.lower)
    return found


def _so_far(label: str, histogram: Histogram, within: float) -> dict[str, Any]:
    row: dict[str, Any] = {WHAT: label, "count": histogram.count}
    if histogram.count:
        percentiles = [histogram.percentile(percent, within) for percent in PERCENTILES.values()]
        row |= _cells([*percentiles, histogram.mean, histogram.maximum])
    return row


def _cells(values: Sequence[float | None]) -> dict[str, float]:
    """Milliseconds by column; JSON has no infinity, and Locust's page no words in these columns."""
    cells = zip(_COLUMNS.values(), values, strict=True)
    return {key: round(value * 1000, 3) for key, value in cells if value is not None and math.isfinite(value)}


def _of_run(measured: Mapping[str, float | None], lower: Mapping[str, float]) -> list[dict[str, Any]]:
    """The metrics of the run: times that are not recorded per second, then the others as text."""
    found = []
    for family, label in FAMILIES.items():
        if family not in COURSES:
            found.append({WHAT: label} | _cells(family_values(family, measured)))
            if any(least := family_values(family, lower)):
                found.append({WHAT: AT_LEAST} | _cells(least))
    return found + [{WHAT: f"{metric.label}: {metric.text(measured.get(metric.name))}"} for metric in FIGURES]


def _structure() -> list[dict[str, Any]]:
    plain = [{"key": WHAT, "title": "What"}, {"key": "count", "title": "# measured"}]
    # Not rounded by the page, which makes NaN of a cell that is empty.
    return plain + [{"key": key, "title": f"{title} (ms)"} for title, key in _COLUMNS.items()]
