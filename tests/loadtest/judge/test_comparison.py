from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtest.judge.comparison import compare, doubts, ratio


def lines(
    p99: float, *, started: str = "2026-01-01T10:00:00", verdict: str = "PASS", players: int = 20
) -> list[dict[str, Any]]:
    """The first and the last line of a run."""
    environment = {"python": "3.11", "system": "Linux", "machine": "x", "usableCpus": 2, "memoryBytes": 1}
    head = {
        "kind": "run", "scenario": "steady", "started": started,
        "arguments": {"players": players, "gates": ["lost==0"]}, "environment": environment,
    }  # fmt: skip
    result = {
        "kind": "result", "verdict": verdict, "reasons": ["cut short"],
        "metrics": {"latency_p50": p99 / 2, "latency_p99": p99, "generator_us_per_board": p99 * 1000},
    }  # fmt: skip
    return [head, result]


def lot(folder: Path, *runs: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    for number, run in enumerate(runs):
        folder.joinpath(f"{number}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in run), "utf-8")
    return folder


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Of many comparisons of five with five, with a true ratio of 1.2, most intervals contain it."""
    random = np.random.default_rng(5)
    covered = 0
    for seed in range(200):
        a = np.exp(random.normal(0.0, 0.1, 5))
        b = 1.2 * np.exp(random.normal(0.0, 0.1, 5))
        _, interval = ratio(a.tolist(), b.tolist(), seed=seed)
        assert interval is not None
        covered += interval[0] <= 1.2 <= interval[1]
    # The bootstrap of five values is somewhat too narrow; that is known of it.
    assert 165 <= covered <= 199


def test_the_ratio_is_that_of_geometric_means() -> None:
    """Twice as much each time is a ratio of 2; one run has no interval."""
    assert ratio([1.0, 2.0, 4.0], [2.0, 4.0, 8.0])[0] == pytest.approx(2.0)
    assert ratio([1.0], [3.0]) == (pytest.approx(3.0), None)


def test_what_is_missing_somewhere_is_not_compared() -> None:
    """A metric that one run lacks, or that is zero, has no row."""
    rows = compare(
        [{"metrics": {"latency_p99": 1.0, "ack_p99": 0.0}}], [{"metrics": {"latency_p99": 2.0, "ack_p99": 1.0}}]
    )
    assert [row.metric.name for row in rows] == ["latency_p99"]


def test_doubts_are_told() -> None:
    """Few runs, runs that were not interleaved, and other arguments are said."""
    a = [lines(1.0, started=f"2026-01-01T10:0{number}:00")[0] for number in range(2)]
    b = [lines(1.0, started=f"2026-01-01T11:0{number}:00", players=30)[0] for number in range(2)]
    told = " ".join(doubts(a, b))
    assert "five of each" in told
    assert "not interleaved (AABB)" in told
    assert "different players: 20, 30" in told
    turns = [lines(1.0, started=f"2026-01-01T10:0{number}:00")[0] for number in (0, 3, 4, 7, 8)]
    others = [lines(1.0, started=f"2026-01-01T10:0{number}:00")[0] for number in (1, 2, 5, 6, 9)]
    assert doubts(turns, others) == []


def test_a_slower_lot_is_found_and_the_same_is_not(refuse, tmp_path) -> None:
    """B at double the latency is worse, status 3; A against itself is not, status 0, and the other way it is better."""
    a = lot(tmp_path / "a", *(lines(value) for value in (0.010, 0.011, 0.0105, 0.0102, 0.0108)))
    b = lot(tmp_path / "b", *(lines(value) for value in (0.020, 0.022, 0.0210, 0.0204, 0.0216)))
    ended = refuse("compare", str(a), str(b))
    assert ended.status == 3, ended.out
    assert "latency_p99" in ended.out
    assert "2.000" in ended.out
    assert "worse" in ended.out
    assert refuse("compare", str(a), str(a)).status == 0
    assert "better" in refuse("compare", str(b), str(a)).out


def test_runs_that_prove_nothing_are_left_out(refuse, tmp_path) -> None:
    """INVALID, unfinished and foreign files are named and left out; when nothing is left it is status 2."""
    spoiled = lot(tmp_path / "spoiled", lines(0.01, verdict="INVALID"), lines(0.01)[:1])
    spoiled.joinpath("x.jsonl").write_text("no json\n")
    ended = refuse("compare", str(spoiled), str(spoiled))
    assert ended.status == 2
    assert "0.jsonl: INVALID, cut short" in ended.err
    assert "1.jsonl: the run did not end" in ended.err
    assert "x.jsonl: not the file of a run (Expecting value" in ended.err
    assert "expected at least one judged run" in ended.err


def test_a_run_of_any_name_is_found_in_its_folder(refuse, tmp_path) -> None:
    """`--out rate-0.5` is compared like any other run; the page, the record and the pipe beside it are no runs."""
    runs = lot(tmp_path / "runs", lines(0.01))
    (runs / "0.jsonl").rename(runs / "rate-0.5")
    (runs / "rate-0.5.html").write_text("<p>")
    (runs / "ramp.json").write_text('{"gates": []}\n')
    os.mkfifo(runs / "pipe")
    ended = refuse("compare", str(runs), str(runs))
    assert ended.status == 0, ended.err
    assert ended.err == ""
    assert "A (n=1)" in ended.out


def test_a_folder_without_runs_is_one_line(refuse, tmp_path) -> None:
    """Nothing to compare, and a path that is not there, are status 2 with the path and what was expected."""
    ended = refuse("compare", str(tmp_path), str(tmp_path))
    assert (ended.status, ended.out) == (2, "")
    assert ended.err == f"loadtest compare: {tmp_path}: expected at least one judged run, got none\n"
    ended = refuse("compare", str(tmp_path / "none"), str(tmp_path))
    assert ended.status == 2
    assert f"{tmp_path / 'none'}: not the file of a run (No such file or directory)" in ended.err
