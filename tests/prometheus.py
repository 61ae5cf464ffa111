"""What the files in docs/monitoring/ ask Prometheus for, and what a page of metrics offers."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

FOLDER = Path(__file__).parents[1] / "docs" / "monitoring"
ALERTS, DASHBOARD = FOLDER / "prometheus-alerts.yml", FOLDER / "grafana-dashboard.json"

_RULE = re.compile(
    r"      - alert: (?P<name>Leaderboard\w+)\n"
    r"        expr: (?P<expr>.+)\n"
    r"(?:        for: \d+[smh]\n)?"
    r"        labels:\n          severity: (?:critical|warning)\n"
    r'        annotations:\n          summary: ".+"\n          description: ".+"\n'
)
_SELECTOR = re.compile(r"\b([a-z_]+(?![a-z_]*\s*\())(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*=~?\s*"([^"]*)"')
_NOT_METRICS = {"and", "or", "on", "by"}

Selectors = list[tuple[str, dict[str, str]]]
Offered = dict[str, dict[str, set[str]]]


def rules() -> dict[str, str]:
    """The expression of each alert. Raises ValueError if the file holds anything but rules of the usual shape."""
    text = ALERTS.read_text()
    found = {rule["name"]: rule["expr"] for rule in _RULE.finditer(text)}
    if text.count("alert:") != len(found):
        raise ValueError(f"expected {text.count('alert:')} rules, got {sorted(found)}")
    return found


def panels() -> dict[str, list[str]]:
    """The expressions of each panel, by its title."""
    found = json.loads(DASHBOARD.read_text())["panels"]
    return {one["title"]: [target["expr"] for target in one.get("targets", [])] for one in found}


def selectors(expression: str) -> Selectors:
    """Each metric that the expression names, with its matchers; a value that begins with $ is the dashboard's."""
    text = re.sub(r"\[[^]]*\]", "", expression)
    text = re.sub(r"\b(?:by|on|without)\s*\([^)]*\)", "", text)
    return [
        (name, dict(_MATCHER.findall(inside))) for name, inside in _SELECTOR.findall(text) if name not in _NOT_METRICS
    ]


def offered(page: str) -> Offered:
    """What a page has: the names of its samples, their labels, and the values of those."""
    found: Offered = defaultdict(lambda: defaultdict(set))
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found[sample.name].update({})
            for label, value in sample.labels.items():
                found[sample.name][label].add(value)
    return found


def missing(expressions: Iterable[str], page: Offered) -> list[str]:
    """What the expressions name and the page does not have, one line each."""
    return sorted(
        {fault for one in expressions for name, labels in selectors(one) for fault in _faults(name, labels, page)}
    )


def _faults(name: str, labels: dict[str, str], page: Offered) -> list[str]:
    if name not in page:
        return [f"no metric {name}"]
    found = []
    for label, value in labels.items():
        if label not in {*page[name], "job", "instance"}:
            found.append(f"no label {label} of {name}")
        elif not value.startswith("$"):
            found += [f"no {label}={one} of {name}" for one in value.split("|") if one not in page[name][label]]
    return found


async def closes(http: httpx.AsyncClient, url: str) -> dict[tuple[str, str], float]:
    """How many WebSockets ended at the service, by who closed and with which code."""
    text = (await http.get(f"{url}/metrics")).text
    return {
        (sample.labels["closed_by"], sample.labels["code"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "leaderboard_connections_closed_total"
    }
