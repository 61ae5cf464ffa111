from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from wide import first_of

from loadtest.plan.scenarios import default_gates
from loadtest.report.run_file import read

pytestmark = pytest.mark.starts_process

PLAYERS = 20
BOUND = default_gates("steady")[0]  # on the latency


def options(out: Path, **more: object) -> list[str]:
    """A short run."""
    given = {"players": PLAYERS, "rate": 40, "duration": "2s", "warm-up": "0.5s", "out": out} | more
    return [part for name, value in given.items() for part in (f"--{name}", str(value))]


async def judged(loadtest, *arguments: str) -> tuple[object, dict]:
    """Run the swarm; return how it ended and its last line."""
    ended = await loadtest("run", "steady", *arguments)
    assert ended.status in {0, 3, 4}, ended.err
    lines = read(Path(arguments[arguments.index("--out") + 1]))
    return ended, {"lines": lines, **lines[-1]}


def stands(ended, result: dict, verdict: str) -> bool:
    """Whether the run came out as `verdict`, apart from what others on a shared machine did to it.

    They make the service late, or keep the generator from offering its load; then it is INVALID, unless scores are
    wrong. What else it found is told.
    """
    wrong = result["totals"]["wrong"]
    words = ("generator", "not connected", "others kept")
    hampered = [reason for reason in result["reasons"] if any(word in reason for word in words)]
    late = [reason for reason in result["reasons"] if reason.startswith(BOUND)]
    found = "FAIL" if len(result["reasons"]) > len(hampered) + len(late) else "PASS"
    held = [gate["held"] for gate in result["gates"]]
    by_gates = "FAIL" if False in held else "INVALID" if None in held else "PASS"
    told = "FAIL" if wrong else "INVALID" if hampered else by_gates
    return found == verdict and result["verdict"] == told and ended.status == {"PASS": 0, "FAIL": 3, "INVALID": 4}[told]


@pytest.fixture(scope="module")
async def healthy(loadtest, tmp_path_factory) -> tuple[object, dict]:
    """How a swarm ended against a service that the command started, and what it wrote; several tests read it."""
    return await judged(loadtest, *options(tmp_path_factory.mktemp("healthy") / "run.jsonl"))


def test_a_healthy_service_passes(healthy) -> None:
    """A swarm against a service that the command starts ends in PASS, status 0."""
    ended, result = healthy
    assert stands(ended, result, "PASS"), ended.err + ended.out
    assert "converged    yes" in ended.out


def all_pairs_are_counted(result: dict, processes: int) -> None:
    counts, totals = result["totals"]["counts"], result["totals"]
    # Users are dealt out evenly, so each process has the same number of receivers.
    assert counts["pairs_received"] == counts["updates"] * PLAYERS // processes
    assert counts["pairs_received"] == sum(totals["latency"]["counts"].values()) > 0
    assert counts["updates"] == counts["answered"] == sum(totals["ack"]["counts"].values())
    assert (result["metrics"]["reach"], counts["pairs_lost"], counts["unanswered"]) == (1.0, 0, 0)
    assert (totals["errors"], totals["closes"], totals["wrong"], totals["players"]) == ({}, {}, [], PLAYERS)
    assert len(totals["busy"]) == processes
    assert totals["seconds"] == pytest.approx(2.0, abs=0.05)


def test_every_pair_is_counted(healthy) -> None:
    """The pairs are own updates × own receivers, exactly; nothing is lost, all converge."""
    all_pairs_are_counted(healthy[1], 1)


async def test_every_pair_of_two_processes_is_counted(loadtest, tmp_path) -> None:
    """The same, summed over processes."""
    _, result = await judged(loadtest, *options(tmp_path / "run.jsonl", processes=2))
    all_pairs_are_counted(result, 2)


def test_a_run_on_file_begins_with_its_facts_and_ends_with_its_verdict(healthy) -> None:
    """First what ran where, then a line a second whose pairs add up, last the verdict; nothing names the machine."""
    ended, result = healthy
    lines = result["lines"]
    kinds = [line["kind"] for line in lines]
    assert kinds == ["run", *["second"] * (len(lines) - 2), "result"]
    assert f"started a service at {lines[0]['target']}\n" in ended.err
    assert lines[0]["arguments"]["players"] == PLAYERS
    seconds = lines[1:-1]
    assert [line["at"] for line in seconds] == sorted({line["at"] for line in seconds})
    assert sum(line["pairs"] for line in seconds) == result["totals"]["counts"]["pairs_received"]
    assert {line["phase"] for line in seconds} <= {"connect", "warm-up", "measure", "settle"}
    assert stands(ended, result, "PASS"), ended.err + ended.out
    assert result["exit"] == ended.status
    assert os.uname().nodename not in json.dumps(lines[0]["environment"])
    assert f" {result['verdict']}  steady, 20 players" in ended.out
    assert max(map(len, ended.out.split(f" {result['verdict']} ", 1)[1].splitlines()[1:-1])) <= 100


async def test_a_missed_gate_fails_the_run(loadtest, service, tmp_path) -> None:
    """A latency that no service can hold fails the run with status 3 and says by how much."""
    given = options(tmp_path / "run.jsonl", url=service.url, gate="latency_p50<1us")
    ended, result = await judged(loadtest, *given)
    assert stands(ended, result, "FAIL"), ended.err + ended.out
    assert "MISSED  latency_p50<1us" in ended.out
    assert any(reason.startswith("latency_p50<1us: it was ") for reason in result["reasons"])


@pytest.mark.wide("test_a_client_that_misses_the_last_board_is_found")
async def test_swallowed_boards_lower_the_reach(loadtest, service, distort, tmp_path) -> None:
    """Behind a proxy that swallows one board in fifty, reach is below 1 and the run fails with status 3."""
    boards = 0

    def passes(_number: int, payload: bytes) -> bool:
        nonlocal boards
        # Those that brought updates: snapshots are not what is tested here.
        if payload.startswith(b'{"type":"leaderboard-update"') and b'"updates":0,' not in payload[:80]:
            boards += 1
            return boards % 50 != 0
        return True

    proxy = await distort(service.url, passes)
    ended, result = await judged(loadtest, *options(tmp_path / "run.jsonl", url=proxy.url))
    assert proxy.swallowed > 0
    assert stands(ended, result, "FAIL"), ended.err + ended.out
    assert 0.95 < result["metrics"]["reach"] < 0.9999
    assert any(reason.startswith("reach>=0.9999") for reason in result["reasons"])


async def test_a_client_that_misses_the_last_board_is_found(loadtest, service, distort, tmp_path) -> None:
    """When all boards to some clients stop, the run fails: pairs are lost, and not everyone holds the final board."""
    passed = 0

    def passes(_number: int, payload: bytes) -> bool:
        nonlocal passed
        if payload.startswith(b'{"type":"leaderboard-update"'):
            passed += 1
            return passed < 500
        return True

    proxy = await distort(service.url, passes)
    ended, result = await judged(loadtest, *options(tmp_path / "run.jsonl", url=proxy.url))
    assert stands(ended, result, "FAIL"), ended.err + ended.out
    assert result["totals"]["counts"]["pairs_lost"] > 0
    assert any("do not hold the service's final board" in reason for reason in result["reasons"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--players", "2", "--rate", "100"], "expected at most 16 updates a second per player"),
        (["--gate", "latency<5"], "expected a metric, one of"),
        (["--players", "99999999"], "ulimit -Hn"),
        (["--duration", "soon"], "expected a time like 30s"),
        (["--players", "0"], "expected positive numbers"),
        (["--url", "http://127.0.0.1:no"], "expected a URL like"),
    ],
)
def test_what_cannot_be_run_is_refused(refuse, arguments, expected) -> None:
    """Wrong wishes are exit status 2 before a service is started, with what was expected."""
    ended = refuse("run", "steady", *arguments)
    assert ended.status == 2
    assert expected in ended.err
    assert "started a service" not in ended.err


def test_nobody_at_the_url_is_refused_at_once(refuse, nobody) -> None:
    """An address where nobody listens is exit status 2 with one line, and no run."""
    ended = refuse("run", "steady", "--url", nobody)
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert f"{nobody}: no service answers there (Connection refused)" in ended.err


def test_another_server_at_the_url_is_refused_at_once(refuse, other_server) -> None:
    """The address of another kind of server is exit status 2 with one line that says so."""
    ended = refuse("run", "steady", "--url", other_server)
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert f"{other_server}: this is not the leaderboard" in ended.err


@pytest.mark.parametrize("processes", first_of(1, 2))
async def test_an_interrupted_run_is_a_part_without_a_verdict(under_way, service, tmp_path, processes) -> None:
    """Ctrl-C while it measures: the part is on file and on the page, INVALID with the reason in words, status 4."""
    out = tmp_path / "run.jsonl"
    run = await under_way("run", "steady", *options(out, url=service.url, duration="60s", processes=processes))
    await run.says("measure ")
    run.interrupt()
    ended = await run.end()
    result = read(out)[-1]
    assert (ended.status, result["kind"], result["verdict"]) == (4, "result", "INVALID"), ended.err
    assert result["reasons"][0].startswith("interrupted after ")
    assert result["reasons"][0].endswith(" of 60 s")
    assert result["totals"]["seconds"] < 6  # the first second was told in time, and not when its processes are given up
    assert (result["totals"]["wrong"], result["totals"]["closes"]) == ([], {})
    assert "no judgement interrupted after" in ended.out
    assert "Traceback" not in ended.err


async def test_a_run_time_that_leaves_too_little_to_measure_is_invalid(loadtest, service, tmp_path) -> None:
    """Locust's --run-time counts connecting and warming up: what is left is no judgement, and the page says so."""
    out = tmp_path / "run.jsonl"
    ended = await loadtest(
        "-f", "loadtest/locustfile.py", "--headless", "--host", service.url, "--users", "5", "--spawn-rate", "5",
        "--rate", "40", "--warm-up", "0.2", "--run-time", "2s", "--out", str(out), module="locust",
    )  # fmt: skip
    result = read(out)[-1]
    assert (ended.status, result["verdict"]) == (4, "INVALID")
    assert "at least 3 s are needed" in result["reasons"][0]


async def test_what_is_received_is_counted_however_short_the_run(loadtest, service, tmp_path) -> None:
    """Frames and bytes belong to the measured time itself, and not to whole seconds of the clock in it."""
    out = tmp_path / "run.jsonl"
    await loadtest("run", "steady", *options(out, url=service.url, duration="0.6s"))
    totals = read(out)[-1]["totals"]
    # Every player got every board and the answers to its own updates; the last ones come after the end.
    assert totals["frames"] > totals["boards"] * PLAYERS / 2 > 0
    assert totals["bytes"] > 100 * totals["frames"]


@pytest.fixture
def slow_locust(tmp_path) -> dict[str, str]:
    """The environment with a `locust` whose import does not end; it says when it begins and what signals it gets."""
    package = tmp_path / "slow" / "locust"
    package.mkdir(parents=True)
    package.joinpath("__init__.py").write_text(
        "import os, signal, sys, time\n"
        "if 'IGNORE' in os.environ:\n"
        "    signal.signal(signal.SIGTERM, lambda *_: print('asked to end', file=sys.stderr, flush=True))\n"
        "print('importing', file=sys.stderr, flush=True)\n"
        "time.sleep(60)\n"
    )
    return {"PYTHONPATH": str(package.parent)}


async def test_an_interrupt_while_locust_is_imported_is_one_word(under_way, service, slow_locust) -> None:
    """Ctrl-C before there is a run says `interrupted` and no more, status 130."""
    run = await under_way("run", "steady", "--url", service.url, environment=slow_locust)
    await run.says("importing")
    run.interrupt()
    ended = await run.end()
    assert (ended.status, ended.out, ended.err) == (130, "", "importing\ninterrupted\n")


async def test_a_second_interrupt_ends_it_at_once(under_way, service, slow_locust) -> None:
    """Locust that does not end when it is asked to is ended by the next Ctrl-C."""
    run = await under_way("run", "steady", "--url", service.url, environment=slow_locust | {"IGNORE": "1"})
    await run.says("importing")
    run.interrupt()
    await run.says("asked to end")
    run.interrupt()
    ended = await run.end()
    assert (ended.status, ended.err.splitlines()[-1]) == (130, "interrupted")
