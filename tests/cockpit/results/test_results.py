"""Runs read from their files: names, tables, comparisons, the picture."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from cockpit import Results
from cockpit.results.table import Table

from loadtest.judge.gates import judge, parse_gates
from loadtest.measure.metrics import metrics
from loadtest.measure.run_totals import Tally
from loadtest.report.run_file import RunFile


def write(folder: Path, name: str, late: float, *, seed: int = 1, lag: float = 0.0001, ends: bool = True) -> Path:
    """A run of 200 pairs that are about so late, judged as the load test judges."""
    rng = random.Random(seed)
    tally = Tally(players=10, seconds=3.0, boards=10, board_updates=20, boards_received=100)
    tally.latency.record([late * rng.uniform(0.8, 1.2) for _ in range(200)])
    tally.send_lag.record([lag] * 10)
    tally.counts.updates, tally.counts.pairs_received, tally.counts.versions_owed = 20, 200, 200
    path = folder / f"20261125-04{seed:04}-{name}.jsonl"
    with RunFile(path) as file:
        arguments = {"players": 10, "gates": []}
        environment = {"python": "3", "system": "x", "machine": "y", "usableCpus": 2, "memoryBytes": 1}
        started = f"2026-11-25T04:00:{seed:02}"
        file.begin({"started": started, "scenario": "steady", "arguments": arguments, "environment": environment})
        if ends:
            named = metrics(tally, 10)
            file.end(tally, named, judge(named, parse_gates(["reach>=1"]), wrong=()))
    return path


def test_runs_of_a_kind_are_compared(tmp_path: Path) -> None:
    """A slower kind is shown to be worse, with its interval; what may mislead stands below."""
    for seed in range(1, 11):
        write(tmp_path, "steady-memory" if seed % 2 else "steady-redis", 0.02 if seed % 2 else 0.04, seed=seed)
    results = Results.load(tmp_path)
    assert results.names == ["steady-memory", "steady-redis"]
    table = results.compare("memory", "redis")
    row = next(row for row in table.rows if row[0] == "latency_p50")
    assert 1.8 < float(row[3]) < 2.2
    low, high = map(float, row[4].split("–"))
    assert 1 < low <= float(row[3]) <= high
    assert row[5] == "worse"
    assert next(row for row in results.compare("redis", "memory").rows if row[0] == "latency_p50")[5] == "better"
    assert table.notes == []
    assert repr(results.compare()) == repr(table)
    assert "A: steady-memory" in table._repr_html_()


def test_a_single_run_a_side_has_no_interval(tmp_path: Path) -> None:
    """Then there is a ratio, no verdict, and a warning."""
    results = Results.load(write(tmp_path, "a", 0.02), write(tmp_path, "b", 0.04, seed=2))
    table = results.compare("a", "b")
    assert {row[4] for row in table.rows} == {"–"}
    assert {row[5] for row in table.rows} == {"–"}
    assert "five of each" in table.notes[0]


def test_runs_without_a_verdict_are_shown_and_not_compared(tmp_path: Path) -> None:
    """INVALID and unfinished runs stand in the summary with their reason, and are left out of a comparison."""
    files = [
        write(tmp_path, "a", 0.02),
        write(tmp_path, "b", 0.02, seed=2, lag=0.5),
        write(tmp_path, "b", 0.02, seed=3, ends=False),
    ]
    results = Results.load(*files)
    assert [row[1] for row in results.summary().rows] == ["PASS", "INVALID", "UNFINISHED"]
    summary = results.summary()
    assert summary.rows[0][summary.head.index("reach")] == "100 %"
    assert "b: INVALID, the generator sent 500 ms late" in results.summary().notes[0]
    table = results.compare("a", "b")
    assert table.rows == []
    assert list(table.notes) == [
        "left out: b, INVALID", "left out: b, UNFINISHED", "nothing to compare: no judged run of b",
    ]  # fmt: skip
    picture = results.picture()
    assert picture.data.count(">a<") == 2
    assert picture.png.startswith(b"\x89PNG")
    assert len(picture.png) < 150_000


def test_runs_of_any_name_are_found_and_kept_apart(tmp_path: Path) -> None:
    """`--out rate-0.5` and `--out rate-0.7` are two kinds of runs, in a folder that holds their pages, too."""
    for rate in ("rate-0.5", "rate-0.7"):
        write(tmp_path, "a", 0.02).rename(tmp_path / rate)
        (tmp_path / f"{rate}.html").touch()
    assert Results.load(tmp_path).names == ["rate-0.5", "rate-0.7"]


def test_what_cannot_be_read_or_compared_is_said(tmp_path: Path) -> None:
    """A folder without runs, a file of something else, a name that fits none or several."""
    with pytest.raises(ValueError, match="at least one run"):
        Results.load(tmp_path)
    other = tmp_path / "x.jsonl"
    other.write_text('{"kind":"second"}\n')
    with pytest.raises(ValueError, match="expected the file of a run"):
        Results.load(other)
    results = Results.load(write(tmp_path, "steady-a", 0.02), write(tmp_path, "steady-b", 0.02, seed=2))
    with pytest.raises(ValueError, match="'steady' fits 2"):
        results.compare("steady", "b")
    with pytest.raises(ValueError, match="'c' fits 0"):
        results.compare("c", "b")


def test_a_table_is_readable_without_a_display() -> None:
    """Columns stand one below the other; names of markup are names in HTML."""
    table = Table(("run", "p50"), [("<a>", "1.0 ms"), ("longer", "22.0 ms")], ["one"])
    assert repr(table).splitlines() == [
        "run         p50", "───────────────", "<a>      1.0 ms", "longer  22.0 ms", "warning: one",
    ]  # fmt: skip
    assert "&lt;a&gt;" in table._repr_html_()
