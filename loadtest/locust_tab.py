"""A tab of its own in Locust's web UI: the figures of the broadcast, as the file and the verdict have them.

Locust's page draws the tabs and tables that are named in its template's arguments and takes their rows
from `extended_stats` in the answer that it asks for every two seconds.
"""

from __future__ import annotations

import json
from typing import Any, Final

from loadtest.load.coordinator import Conductor
from loadtest.measure.run_totals import PERCENTILES

KEY: Final = "broadcast"
_ROWS: Final = {
    "latency": "score → other screen",
    "ack": "score → answer",
    "inside": "inside the service",
    "skew": "first → last screen",
    "lag": "generator's own lag",
}
_COLUMNS: Final = {label: label.replace(".", "") for label in PERCENTILES}


def add_to(web_ui: Any, conductor: Conductor) -> None:
    """Add the tab to the web UI of the process that leads."""
    web_ui.template_args |= {
        "extended_tabs": [{"title": "Broadcast", "key": KEY}],
        "extended_tables": [{"key": KEY, "structure": _structure()}],
    }

    def add_figures(answer: Any) -> Any:
        from flask import request  # noqa: PLC0415 - comes with Locust's web UI and is of no use without it

        if request.path == "/stats/requests" and answer.is_json:
            stats = answer.get_json() | {"extended_stats": [{"key": KEY, "data": rows(conductor)}]}
            answer.set_data(json.dumps(stats))
        return answer

    web_ui.app.after_request(add_figures)


def rows(conductor: Conductor) -> list[dict[str, Any]]:
    """The table's rows, in milliseconds; the last one is the reach, as a share of versions in percent."""
    seen = conductor.so_far
    found = []
    for name, label in _ROWS.items():
        histogram = getattr(seen, name)
        row: dict[str, Any] = {"name": label, "count": histogram.count}
        if histogram.count:
            for percentile, key in _COLUMNS.items():
                row[key] = round(histogram.percentile(PERCENTILES[percentile]) * 1000, 3)
            row["max"] = round(histogram.maximum * 1000, 3)
        found.append(row)
    reach = f"reach {100 * (1 - seen.missed / seen.owed):.4f} %" if seen.owed else "reach –"
    found.append({"name": reach, "count": seen.owed})
    if conductor.judgement is not None:
        found.append(
            {"name": f"last verdict: {conductor.judgement.verdict.name}", "count": len(conductor.judgement.reasons)}
        )
    return found


def _structure() -> list[dict[str, Any]]:
    plain = [{"key": "name", "title": "What"}, {"key": "count", "title": "# measured"}]
    return plain + [
        {"key": key, "title": f"{title} (ms)", "round": 2}
        for title, key in (*((k, v) for k, v in _COLUMNS.items()), ("max", "max"))
    ]
