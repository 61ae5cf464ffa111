"""One wish is one spec, whichever way it takes: through options, Locust's command line, JSON or the desk."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from cockpit.desk.service_under_test import Setting
from cockpit.runs.load_run import LOG, shown_spec

from loadtest.load import locust_launcher
from loadtest.plan import run_spec
from loadtest.plan.run_spec import RunSpec, service_limits, service_options
from loadtest.plan.scenarios import SCENARIOS

ROOT = Path(__file__).parents[3]
# Each field has another value than its default.
EVERYTHING = RunSpec(
    scenario="audience", players=60, rate=12.5, arrivals="constant", log="a log.csv", speed=2.5, processes=2,
    warm_up=0.5, duration=90.0, seed=7, kernel_stamps=False, gates=("lost==0", "latency_p99<50ms"), spawn_rate=30.0,
    urls=("http://127.0.0.1:8000", "http://127.0.0.1:8001"), session="quiz", out="runs/a b.jsonl", service_pid=42,
    separator="semicolon", encoding="cp1252", columns="time=Zeit,points=Punkte", time_unit="ms", date_order="dmy",
    decimal="comma", headers=("X-Key: a, b", "X-Two:2"), ca_file=str(ROOT / "tests/loadtest/transport/loopback.pem"),
    player_secret="of-the-players-of-yesterday",
)  # fmt: skip
# Values that begin like options are among them.
SPECS = [
    RunSpec(rate=40.0), RunSpec(player_rate=0.5), RunSpec(player_rate=0.2), EVERYTHING,
    RunSpec(
        rate=40.0, session="-quiz", out="-out", headers=("-X: -1", "-Y: -2"), player_secret="-begins-like-an-option"
    ),
    *(shown_spec(scenario=name) for name in SCENARIOS),
]  # fmt: skip


def parsed(*arguments: str) -> RunSpec:
    """What `python -m loadtest run` makes of a command line."""
    parser = argparse.ArgumentParser()
    run_spec.add_options(parser)
    return RunSpec.from_options(parser.parse_args(arguments))


def test_the_example_leaves_out_no_field_but_one() -> None:
    """EVERYTHING differs from the defaults in each field, so the round trips below leave none out."""
    same = {one.name for one in fields(RunSpec) if getattr(EVERYTHING, one.name) == one.default}
    assert same == {"player_rate"}  # which the rate replaces


@pytest.mark.parametrize("spec", [RunSpec(), *SPECS])
def test_options_give_the_spec_that_wrote_them(spec: RunSpec) -> None:
    """The command line of a spec is read as the same spec."""
    assert parsed(*spec.to_options()) == spec


@pytest.mark.parametrize("spec", [RunSpec(), *SPECS])
def test_json_gives_the_spec_that_wrote_it(spec: RunSpec) -> None:
    """Every field survives JSON, and an unknown one is refused."""
    assert RunSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    with pytest.raises(ValueError, match="got thinkTime"):
        RunSpec.from_dict(spec.to_dict() | {"thinkTime": 1})


@pytest.mark.starts_process
def test_locust_plays_the_spec_that_the_command_was_given() -> None:
    """Locust's own parser, with the swarm's options in it, reads its command line as the same spec."""
    code = """
import json, sys
from locust import events
from locust.argument_parser import get_parser
from loadtest.plan import run_spec
events.init_command_line_parser.add_listener(lambda parser, **_: run_spec.add_options(parser, "locust"))
for arguments in json.load(sys.stdin):
    options = get_parser(default_config_files=[]).parse_args(arguments)
    print(json.dumps(run_spec.RunSpec.from_options(options, "locust").to_dict()))
"""
    commands = [locust_launcher.command(spec)[3:] for spec in SPECS]
    ended = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(commands), env=locust_launcher.environment(), cwd=ROOT,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert [RunSpec.from_dict(json.loads(line)) for line in ended.stdout.splitlines()] == SPECS


def test_the_desk_and_the_command_give_the_same_spec() -> None:
    """What the sliders ask for is what the same wish gives on a command line."""
    typed = parsed(
        "churn", "--players", "120", "--rate", "30", "--duration", "10s", "--warm-up", "2s", "--spawn-rate", "60",
        "--gate", "lost==0",
    )  # fmt: skip
    assert shown_spec(120, 30.0, 10.0, "churn", ("lost==0",)) == typed
    replayed = parsed("replay", "--rate", "40", "--log", str(LOG), "--speed", "60", "--warm-up", "2s")
    assert shown_spec(scenario="replay") == replace(replayed.completed(), spawn_rate=100.0)


def test_the_service_for_a_run_has_the_same_limits_everywhere() -> None:
    """The desk starts its service with the limits that `run` gives one; a replay has none for its connections."""
    for scenario in SCENARIOS:
        spec = shown_spec(30_000, scenario=scenario)
        assert Setting().arguments(spec)[-len(service_options(spec)) :] == service_options(spec)
        assert service_limits(spec)["max-connections"] > spec.players
        assert service_limits(spec)["max-players"] >= spec.players
        assert (service_limits(spec)["rate"] > 1000) == (scenario == "replay")


def test_what_was_not_given_follows_from_the_scenario() -> None:
    """40 updates a second of 200 players for 30 s; a soak takes an hour, a replay its log's players and time."""
    plain = RunSpec().completed()
    assert (plain.players, plain.rate, plain.duration, plain.each) == (200, 40.0, 30.0, 0.2)
    assert RunSpec(scenario="soak").completed().duration == 3600.0
    assert RunSpec(scenario="soak", duration=5.0).completed().duration == 5.0
    replay = RunSpec(scenario="replay", log=str(LOG), speed=60.0).completed()
    assert replay.players != 200
    assert replay.duration != 30.0
    assert RunSpec(player_rate=3.0).completed().each == 3.0


def test_a_rate_of_all_together_goes_before_one_of_each() -> None:
    """The rule is the same on both command lines: Locust's always has a rate of each, which --rate replaces."""
    assert parsed("steady", "--rate", "20", "--player-rate", "3", "--players", "10").each == 2.0
    options = argparse.Namespace(num_users=10, rate=20.0, player_rate=0.2)
    assert RunSpec.from_options(options, "locust").each == 2.0
    assert RunSpec.from_options(argparse.Namespace(num_users=10, rate=0.0, player_rate=0.2), "locust").each == 0.2


def test_a_spec_names_what_is_wrong_with_it() -> None:
    """An unknown scenario and numbers that are not positive are refused where the spec is made."""
    with pytest.raises(ValueError, match=r"expected a scenario, one of steady, .*soak.*, got storm"):
        RunSpec(scenario="storm")
    for wrong in ({"players": 0}, {"processes": 0}, {"spawn_rate": 0.0}):
        with pytest.raises(ValueError, match="expected positive numbers"):
            RunSpec(**wrong)


def test_a_run_on_file_keeps_the_names_of_its_arguments() -> None:
    """run.jsonl has the keys that it always had; a spec can be read from them; no path is in it."""
    spec = replace(EVERYTHING, log="/home/somebody/a log.csv")
    recorded = spec.recorded()
    assert recorded == {
        "players": 60, "updatesPerSecondAndPlayer": 12.5 / 60, "arrivals": "constant", "log": "a log.csv",
        "speed": 2.5, "processes": 2, "warmUpSeconds": 0.5, "measureSeconds": 90.0, "seed": 7, "kernelStamps": False,
        "gates": ["lost==0", "latency_p99<50ms"],
    }  # fmt: skip
    assert RunSpec.from_dict(recorded).each == spec.each
