from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest
from wide import first_of

from loadtest.judge.gates import DEFAULT_GATES, parse_gates
from loadtest.plan.run_spec import RunSpec
from loadtest.plan.scenarios import PURPOSES, SCENARIOS, Role, default_gates
from loadtest.replay.score_log import fold
from loadtest.replay.score_log import read as read_log
from loadtest.report.run_file import read

pytestmark = pytest.mark.starts_process

SAMPLE = Path(__file__).parents[3] / "loadtest" / "data" / "quiz_night.csv"
MEASURING = Path(__file__).parents[3] / "docs" / "measuring.md"
PLAYERS = 20
TESTED_APART = ("steady", "soak", "spike", "replay")
LATE = default_gates("replay")[0]


def spec(**more: object) -> RunSpec:
    return RunSpec(**({"player_rate": 0.5, "seed": 3, "log": str(SAMPLE), "speed": 100.0} | more))  # type: ignore[arg-type]


def test_every_scenario_says_what_it_is_for() -> None:
    """The names in the help are those there are."""
    assert PURPOSES.keys() == SCENARIOS.keys()


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_names_how_late_the_last_screens_may_be(name) -> None:
    """The first default gate is the scenario's bound on p99, as documented; the others are the same for all."""
    bound, *others = default_gates(name)
    (gate,) = parse_gates([bound])
    assert (gate.metric, gate.comparison) == ("latency_p99", "<")
    assert gate.bound == {"burst": 0.5, "spike": 2.0}.get(name, 0.25)
    assert tuple(others) == DEFAULT_GATES
    row = next(line for line in MEASURING.read_text("utf-8").splitlines() if line.startswith(f"| `{name}` |"))
    assert f"`{bound}`" in row


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_same_seed_gives_the_same_run(name) -> None:
    """Times, points and breaks depend on the options, the process and the player, and on nothing else."""
    one, other = SCENARIOS[name](spec()), SCENARIOS[name](spec())
    for player in range(3):
        for what in ("times", "points", "breaks"):
            first = list(islice(getattr(one, what)(player, 0), 50))
            assert first == list(islice(getattr(other, what)(player, 0), 50))
        times = list(islice(one.times(player, 0), 50))
        assert times == sorted(times)


def test_a_burst_is_everybody_in_the_same_instant() -> None:
    """All players of all processes mean to score at the same times."""
    burst = SCENARIOS["burst"](spec(player_rate=0.2))
    assert list(islice(burst.times(0, 0), 3)) == list(islice(burst.times(7, 2), 3)) == [5.0, 10.0, 15.0]


def test_an_audience_has_the_rate_that_was_asked_for() -> None:
    """One in twenty plays, twenty times as often."""
    audience = SCENARIOS["audience"](spec(player_rate=0.1))
    roles = [audience.role(player, 0) for player in range(40)]
    assert roles.count(Role.PLAYS) == 2
    assert len([time for time in islice(audience.times(0, 0), 500) if time < 100]) == pytest.approx(200, rel=0.25)
    with pytest.raises(ValueError, match="at most 16 updates a second per player"):
        SCENARIOS["audience"](spec(player_rate=1.0))


@pytest.mark.parametrize("generators", [1, 2, 3])
def test_a_replay_gives_each_process_its_share_of_the_log(generators) -> None:
    """Over all processes each row is played once, at its time; who is over only watches."""
    replay = SCENARIOS["replay"](spec(processes=generators, warm_up=1.0))
    assert replay.members is not None
    assert replay.lasts is not None
    played: dict[str, int] = {}
    count = 0
    for stream in range(generators):
        for player in range(replay.members // generators):
            known = replay.who(player, stream)
            assert (known is None) == (replay.role(player, stream) is Role.WATCHES)
            times, points = list(replay.times(player, stream)), list(replay.points(player, stream))
            assert len(times) == len(points)
            assert all(1.0 < time < 1.0 + replay.lasts for time in times)
            count += len(times)
            if known is not None:
                played[known[0]] = sum(points)
    rows = read_log(SAMPLE)
    assert count == len(rows)
    assert played == fold(rows)
    assert {
        user: total for stream in range(generators) for user, total in (replay.truth(stream) or {}).items()
    } == played


@pytest.mark.parametrize(
    ("changed", "expected"), [({"log": ""}, "expected a log"), ({"speed": 0.0}, "expected a positive speed")]
)
def test_a_replay_without_a_log_is_refused(changed, expected) -> None:
    """What cannot be replayed is said."""
    with pytest.raises(ValueError, match=expected):
        SCENARIOS["replay"](spec(**changed))


def test_a_replay_reads_its_log_in_the_named_format(tmp_path) -> None:
    """Milliseconds are played as such where the spec says so, and refused where it does not."""
    log = tmp_path / "log.csv"
    log.write_text("time;userId;username;points\n1767225600000;a;A;5\n1767225601500;b;B;6\n")
    replay = SCENARIOS["replay"](spec(log=str(log), time_unit="ms", speed=1.0))
    assert replay.lasts == pytest.approx(1.7)
    with pytest.raises(ValueError, match="--time-unit ms"):
        SCENARIOS["replay"](spec(log=str(log), speed=1.0))


async def play(loadtest, scenario: str, out: Path, *more: str) -> dict:
    """A short run; its last line, without the reasons that others on the machine may give, such as how late it was."""
    bound, *others = default_gates(scenario)
    ended = await loadtest(
        "run", scenario, "--players", str(PLAYERS), "--rate", "12", "--duration", "4s", "--warm-up", "0.5s",
        "--out", str(out), *more,
    )  # fmt: skip
    assert ended.status in {0, 3, 4}, ended.err
    result: dict = read(out)[-1]
    assert [gate["gate"] for gate in result["gates"]] == [bound, *others]
    reasons = [one for one in result["reasons"] if not ("generator" in one or one.startswith((bound, "others kept")))]
    return {**result, "reasons": reasons}


# The others are tested apart.
@pytest.mark.parametrize("scenario", first_of("churn", *sorted(SCENARIOS.keys() - {"churn", *TESTED_APART})))
async def test_a_scenario_ends_in_order(loadtest, tmp_path, scenario) -> None:
    """Every scenario leaves all clients with the final board, all scores right, nothing lost and nobody missing."""
    result = await play(loadtest, scenario, tmp_path / "run.jsonl")
    assert result["reasons"] == []
    assert result["metrics"]["pairs"] > 0
    assert result["metrics"]["players"] == PLAYERS
    assert result["metrics"]["reach"] == 1.0
    receivers = result["totals"]["shares"]["generator 0"]["receivers"]
    assert receivers >= PLAYERS if scenario == "churn" else receivers == PLAYERS - (scenario == "slow")


async def test_players_who_leave_lose_nothing_that_was_on_its_way(loadtest, tmp_path) -> None:
    """A player who leaves stays until it was shown what was meant before, however many scores are under way."""
    result = await play(loadtest, "churn", tmp_path / "run.jsonl", "--players", "40", "--rate", "200")
    assert result["reasons"] == []
    counts = result["totals"]["counts"]
    assert counts["pairs_received"] == counts["pairs_owed"] > 0
    assert result["totals"]["shares"]["generator 0"]["receivers"] > 40


async def test_a_storm_is_owed_every_update(loadtest, tmp_path) -> None:
    """When all connections break, all come back, get late what was meant meanwhile, and the storm is marked."""
    out = tmp_path / "run.jsonl"
    result = await play(loadtest, "spike", out, "--duration", "6s")
    counts = result["totals"]["counts"]
    assert result["reasons"] == []
    assert counts["pairs_received"] == counts["updates"] * PLAYERS
    assert sum(result["totals"]["connect"]["counts"].values()) == 2 * PLAYERS
    assert [line["text"] for line in read(out) if line["kind"] == "mark"] == ["all connections break"]


@pytest.mark.parametrize("processes", first_of(2, 1))
async def test_a_replay_is_measured_and_matches_its_log(loadtest, tmp_path, processes) -> None:
    """As a scenario the log keeps its times, every pair is measured, and the board is the log's fold."""
    rows = ["0,a,A,5", "1,b,B,7", "2,a,A,-1", "4,c,C,9", "6,b,B,1"]
    log = tmp_path / "log.csv"
    log.write_text("time,userId,username,points\n" + "\n".join(rows) + "\n", "utf-8")
    out = tmp_path / "run.jsonl"
    ended = await loadtest(
        "run", "replay", "--log", str(log), "--speed", "4", "--warm-up", "0.5s", "--processes", str(processes),
        "--out", str(out),
    )  # fmt: skip
    result = read(out)[-1]
    players = 3 if processes == 1 else 4
    assert [
        one for one in result["reasons"] if not ("generator" in one or one.startswith((LATE, "others kept")))
    ] == [], ended.err
    assert result["metrics"]["updates"] == len(rows)
    assert result["metrics"]["players"] == players
    assert result["totals"]["seconds"] == pytest.approx(6 / 4 + 0.2, abs=0.1)
    shares = result["totals"]["shares"].values()
    assert sum(share["updates"] * share["receivers"] for share in shares) == result["metrics"]["pairs"]


async def test_players_are_spread_over_addresses(loadtest, service, distort, tmp_path) -> None:
    """With two addresses of one leaderboard each has half of the players, and both boards are compared."""
    users: set[str] = set()

    def passes(_number: int, payload: bytes) -> bool:
        if payload.startswith(b'{"type":"user-rank-update"'):
            users.add(json.loads(payload)["data"]["userId"])
        return True

    proxy = await distort(service.url, passes)
    out = tmp_path / "run.jsonl"
    result = await play(loadtest, "steady", out, "--url", service.url, "--url", proxy.url)
    assert result["reasons"] == []
    assert result["metrics"]["pairs"] == result["metrics"]["updates"] * PLAYERS
    assert len(users) == PLAYERS / 2
    assert read(out)[0]["target"] == f"{service.url},{proxy.url}"
