"""The result as files: JSON for machines, a table and a picture for readers. Each command replaces its own part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtest.bench.harness.servers import OURS

# Okabe and Ito's colours, which eyes of every kind tell apart.
OUR_COLOUR, THEIR_COLOUR, INK = "#D55E00", "#56B4E9", "#333333"

# What the contest is held to: this service's cost divided by another's, at 1000 clients and 1 KB, and at 4000.
BOUNDS = (
    (1000, 1024, "usual", 0.33), (1000, 1024, "encode-once", 0.62), (1000, 1024, "node-socketio", 0.65),
    (1000, 1024, "python-socketio", 0.2), (1000, 1024, "nchan", 1.0), (4000, 1024, "usual", 0.33),
)  # fmt: skip
SPREAD_BOUND = (1000, 1024, 8.0)


def save(folder: Path, part: str, found: dict[str, Any], environment: dict[str, Any]) -> dict[str, Any]:
    """Put one part into `benchmark.json` of the folder and redraw the other files; return the whole result."""
    file = folder / "benchmark.json"
    folder.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    day = datetime.now(UTC).date().isoformat()
    result[part] = {"environment": environment | {"day": day}} | found
    file.write_text(json.dumps(_rounded(result), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "benchmark.md").write_text(markdown(result), encoding="utf-8")
    if "fanout" in result:
        draw(result["fanout"], folder / "benchmark.svg")
    return result


def bounds(fanout: dict[str, Any]) -> list[dict[str, Any]]:
    """The bounds of the contest that its table can answer: what, bound, found, and the range of the rounds."""
    rows = {(row["clients"], row["size"], row["name"]): row for row in fanout["table"]}
    found = []
    for clients, size, name, bound in BOUNDS:
        row = rows.get((clients, size, name))
        if row is not None and row["ours_to_this"] is not None:
            what = f"cost ÷ {fanout['labels'][name]}, {clients} clients"
            found.append({"what": what, "bound": bound, "found": row["ours_to_this"]["median"]} | row["ours_to_this"])
    ours = rows.get((*SPREAD_BOUND[:2], OURS))
    if ours is not None and ours["spread_p50_ms"] is not None:
        what = f"first to last of {SPREAD_BOUND[0]} clients, p50, ms"
        found.append({"what": what, "bound": SPREAD_BOUND[2], "found": ours["spread_p50_ms"]})
    return found


def markdown(result: dict[str, Any]) -> str:
    """The whole result as a Markdown page."""
    lines = ["# Benchmark", ""]
    if "fanout" in result:
        lines += _fanout(result["fanout"])
    if "service" in result:
        part = result["service"]
        lines += ["## The whole service", "", "1000 players, 200 score updates a second, the default board.", ""]
        lines += _table(
            ("round", "share of a core", "boards a second", "board", "p99 from encoding to arrival"),
            [
                (
                    str(number), f"{one['cpu']:.1%}", f"{one['boards_per_second']:.1f}",
                    f"{one['payload_bytes']:.0f} B", f"{one['latency_p99_ms']:.1f} ms",
                )
                for number, one in enumerate(part["trials"], 1)
            ],
        )  # fmt: skip
        lines += _held(part["bounds"]) + _where(part["environment"])
    if "stuck" in result:
        lines += _stuck(result["stuck"])
    if "churn" in result:
        part = result["churn"]
        lines += ["## Mass joins", "", "2000 users join at once; then 200 join and 200 leave every second.", ""]
        lines += _table(
            ("phase", "longest wait for a board", "most notices in one tick"),
            [(name, f"{one['silence_ms']:.0f} ms", str(one["most_notices"])) for name, one in part["phases"].items()],
        )
        memory = part["memory_mb"]
        now = "{before:.0f} MB before, {full:.0f} MB with all users, {after:.0f} MB after".format(**memory)
        lines += [f"Memory: {now}.", ""]
        lines += _held(part["bounds"]) + _where(part["environment"])
    if "idle" in result:
        part = result["idle"]
        lines += ["## Idle connections", ""]
        lines += _table(
            ("connections", "kind", "memory each", "full collection, median", "maximum"),
            [
                (
                    str(row["connections"]), row["kind"], f"{row['kb_per_connection']:.1f} KB",
                    f"{row['pause_ms']['median']:.1f} ms", f"{row['pause_ms']['max']:.1f} ms",
                )
                for row in part["rows"]
            ],
        )  # fmt: skip
        lines += _held(part["bounds"]) + _where(part["environment"])
    if "stores" in result:
        lines += _stores(result["stores"])
    if "generator" in result:
        lines += _generator(result["generator"])
    return "\n".join(lines).rstrip() + "\n"


def _stores(part: dict[str, Any]) -> list[str]:
    method = (
        f"{part['players']} players, {part['updates_per_second']:g} updates a second; the stores are measured in turn. "
        "CPU is that of the service's process; Redis runs in its own process, on the receivers' core."
    )
    lines = ["## Redis and memory", "", method, ""]
    lines += _table(
        ("round", "store", "updates per second of CPU", "share of a core", "script calls per update", "Redis"),
        [
            (
                str(number), name, f"{one['per_cpu_second']:.0f}", f"{one['cpu']:.1%}", f"{one['calls']:.3f}",
                f"{one['redis_cpu']:.1%}" if name == "redis" else "–",
            )
            for number, pair in enumerate(zip(*part["trials"].values(), strict=True), 1)
            for name, one in zip(part["trials"], pair, strict=True)
        ],
    )  # fmt: skip
    ratio = part["redis_to_memory"]
    lines += [
        f"Updates per second of CPU, Redis ÷ memory: {ratio['median']:.2f} ({ratio['min']:.2f}–{ratio['max']:.2f}).",
        "",
    ]
    return lines + _held(part["bounds"]) + _where(part["environment"])


def _generator(part: dict[str, Any]) -> list[str]:
    lines = [
        "## The load test itself", "",
        ("CPU time of the receiving process per 1 KB board received on 1000 connections, alone on its core; memory per "
        "connection from 100 to 1000 connections. This load test also measures every pair; the others only receive "
        "and count."), "",
    ]  # fmt: skip
    rows = [
        (
            row["label"], "{median:.1f}".format(**row["us_per_board"]),
            "{min:.1f}–{max:.1f}".format(**row["us_per_board"]),
            "–" if row["ours_to_this"] is None else "{median:.3f}".format(**row["ours_to_this"]),
            "{median:.1f} KB".format(**row["kb_per_connection"]),
            "{median:.1f}".format(**row["boards_per_second"]),
        )
        for row in part["rows"]
    ]  # fmt: skip
    head = ("receiver", "µs per board", "range", "this load test ÷ it", "memory per connection", "boards a second")
    return lines + _table(head, rows) + _held(part["bounds"]) + _where(part["environment"])


def _fanout(part: dict[str, Any]) -> list[str]:
    lines = [
        "## Fan-out",
        "",
        "CPU time of the server (user and system, all threads and children) per delivered board, by the kernel's "
        f"clock; median of {part['rounds']} interleaved rounds of {part['window_seconds']:g} s, with the range. All "
        "servers send the same board, uncompressed, over loopback; the receivers have their own core"
        + ("." if part["cores_apart"] else " where there is more than one; here there is only one.")
        + " The smallest board that the wire contract allows is about 400 B. A ratio below 1 means that this service "
        "is cheaper. For nchan, only nginx is counted, not the program that publishes.",
        "",
        "![CPU per delivered board](benchmark.svg)",
        "",
    ]
    groups: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in part["table"]:
        groups.setdefault((row["clients"], row["size"]), []).append(row)
    for (clients, _), rows in groups.items():
        size = next((row["payload_bytes"] for row in rows if row["name"] == OURS), rows[0]["payload_bytes"])
        lines += [f"### {clients} clients, {size} B, {rows[0]['hz']:g} boards a second", ""]
        lines += _table(
            ("server", "µs per delivery", "range", "this service ÷ it", "range", "first to last p50 · p99", "delivered",
             "memory per connection"),
            [_cells(row, part["labels"]) for row in rows],
        )  # fmt: skip
    for name, reason in part["missing"].items():
        lines += [f"Left out: {name} – {reason}.", ""]
    busy = "{median:.0%} of a core (median; at most {max:.0%})".format(**part["others_cpu"])
    again = "If that is a lot, or boards were not delivered, measure again."
    lines += [f"During the measurement, other processes on the machine used {busy}. {again}", ""]
    return lines + _held(bounds(part)) + _where(part["environment"] | part["versions"])


def _cells(row: dict[str, Any], labels: dict[str, str]) -> tuple[str, ...]:
    cost, ratio = row["us_per_delivery"], row["ours_to_this"]
    ours = row["name"] == OURS or ratio is None
    name = f"**{labels[row['name']]}**" if row["name"] == OURS else labels[row["name"]]
    spread = "–" if row["spread_p50_ms"] is None else f"{row['spread_p50_ms']:.1f} · {row['spread_p99_ms']:.1f} ms"
    return (
        name,
        f"{cost['median']:.1f}",
        f"{cost['min']:.1f}–{cost['max']:.1f}",
        "" if ours else f"{ratio['median']:.2f}",
        "" if ours else f"{ratio['min']:.2f}–{ratio['max']:.2f}",
        spread,
        f"{row['delivered']:.0%}",
        f"{row['kb_per_connection']['median']:.0f} KB",
    )


def _stuck(part: dict[str, Any]) -> list[str]:
    lines = [
        "## Receivers that stop reading",
        "",
        (
            f"{part['stuck']} of {part['clients']} clients stop reading for {part['seconds']:g} s; "
            f"compared with a run in which all {part['clients']} read."
        ),
        "The last two servers are the control: they lack the mechanism and must miss a bound.",
        "",
    ]
    rows = []
    for name, verdict in part["verdicts"].items():
        for one in verdict:
            found = "never" if one["found"] is None else f"{one['found']:.2f}"
            rows.append((name, one["what"], f"{one['bound']:g}", found, "yes" if one["holds"] else "**no**"))
    return lines + _table(("server", "what", "bound", "found", "holds"), rows) + _where(part["environment"])


def _held(found: Sequence[dict[str, Any]]) -> list[str]:
    if not found:
        return []
    rows = [
        (
            one["what"], f"≤ {one['bound']:g}", f"{one['found']:.2f}",
            f"{one['min']:.2f}–{one['max']:.2f}" if "min" in one else "",
            "yes" if one["found"] <= one["bound"] else "**no**",
        )
        for one in found
    ]  # fmt: skip
    return _table(("bound on", "bound", "found", "range", "holds"), rows)


def _where(environment: dict[str, Any]) -> list[str]:
    return ["Measured on " + ", ".join(f"{key} {value}" for key, value in environment.items()) + ".", ""]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)] + [""]


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return value


def draw(part: dict[str, Any], file: Path) -> None:
    """Draw the cost per delivery: a panel for each number of clients and size, a bar for each contestant."""
    import matplotlib as mpl  # noqa: PLC0415 - a second to load, and only the end needs it
    from matplotlib.figure import Figure  # noqa: PLC0415

    clients = sorted({row["clients"] for row in part["table"]})
    sizes = sorted({row["size"] for row in part["table"]})
    names = list(part["labels"])
    style: Any = {"font.size": 10, "svg.hashsalt": "benchmark", "svg.fonttype": "path", "axes.edgecolor": INK}
    with mpl.rc_context(style):
        height = 1.0 + len(clients) * (0.7 + 0.3 * len(names))
        figure = Figure(figsize=(2.6 + 2.9 * len(sizes), height), layout="constrained")
        figure.suptitle("CPU per delivered board, µs (less is better; whiskers: all rounds)")
        panels = figure.subplots(len(clients), len(sizes), squeeze=False, sharey=True)
        for row, count in enumerate(clients):
            for column, size in enumerate(sizes):
                axes = panels[row][column]
                here = {one["name"]: one for one in part["table"] if (one["clients"], one["size"]) == (count, size)}
                _bars(axes, [(name, here[name]) for name in names if name in here], part["labels"])
                ours = here.get(OURS) or next(iter(here.values()))
                axes.set_title(f"{count} clients · {ours['payload_bytes']} B", fontsize=10)
        figure.savefig(file, format="svg", metadata={"Date": None}, facecolor="white")


def _bars(axes: Any, rows: Sequence[tuple[str, dict[str, Any]]], labels: dict[str, str]) -> None:
    costs = [row["us_per_delivery"] for _, row in rows]
    middles = [cost["median"] for cost in costs]
    whiskers = [
        [cost["median"] - cost["min"] for cost in costs],
        [cost["max"] - cost["median"] for cost in costs],
    ]
    colours = [OUR_COLOUR if name == OURS else THEIR_COLOUR for name, _ in rows]
    axes.barh([labels[name] for name, _ in rows], middles, color=colours, xerr=whiskers, ecolor=INK, capsize=2)
    most = max(cost["max"] for cost in costs)
    for place, (middle, cost) in enumerate(zip(middles, costs, strict=True)):
        axes.text(cost["max"] + 0.02 * most, place, f"{middle:.1f}", va="center", color=INK)
    axes.set_xlim(0, 1.18 * most)
    if not axes.yaxis_inverted():
        axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
