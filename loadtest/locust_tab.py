"""A tab in Locust's web UI: the figures of the broadcast, the same as in the file and the verdict.

Locust's page draws the tabs and tables that its template's arguments name, and takes their rows from
`extended_stats` in the answer that it requests every two seconds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from loadtest.measure.histogram import LOWER_EDGE, MIDDLE, UPPER_EDGE, Histogram
from loadtest.measure.metrics import FAMILIES, FIGURES, METRICS, STATISTICS, family_values
from loadtest.measure.run_totals import BOUNDED, COURSES, PERCENTILES

if TYPE_CHECKING:  # it loads Locust, which patches sockets; a reader of rows must not get that
    from loadtest.load.run_phases import Coordinator

KEY: Final = "broadcast"
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
        return answer

    web_ui.app.after_request(add_figures)


def rows(coordinator: Coordinator) -> list[dict[str, Any]]:
    """The table's rows, times in milliseconds: the totals of the seconds so far, and after the run all metrics."""
    seen = coordinator.so_far
    found = []
    for name in COURSES:
        bounded = name in BOUNDED
        found.append(_so_far(FAMILIES[name], getattr(seen, name), UPPER_EDGE if bounded else MIDDLE))
        if bounded:
            found.append(_so_far(AT_LEAST, getattr(seen, f"{name}_lower"), LOWER_EDGE))
    reach = 1 - seen.missed / seen.owed if seen.owed else None
    found.append({"name": f"reach {METRICS['reach'].text(reach)}", "count": seen.owed})
    if coordinator.judgement is not None:
        judgement = coordinator.judgement
        found.append({"name": f"last verdict: {judgement.verdict.name}", "count": len(judgement.reasons)})
        found += _of_run(coordinator.measured, coordinator.lower)
    return found


def _so_far(label: str, histogram: Histogram, within: float) -> dict[str, Any]:
    row: dict[str, Any] = {"name": label, "count": histogram.count}
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
            found.append({"name": label} | _cells(family_values(family, measured)))
            if any(least := family_values(family, lower)):
                found.append({"name": AT_LEAST} | _cells(least))
    return found + [{"name": f"{metric.label}: {metric.text(measured.get(metric.name))}"} for metric in FIGURES]


def _structure() -> list[dict[str, Any]]:
    plain = [{"key": "name", "title": "What"}, {"key": "count", "title": "# measured"}]
    return plain + [{"key": key, "title": f"{title} (ms)", "round": 2} for title, key in _COLUMNS.items()]
