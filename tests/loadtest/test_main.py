from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.starts_process

EXTRA = ("numpy", "locust", "gevent", "psutil")
SAMPLE = Path(__file__).parents[2] / "loadtest" / "data" / "quiz_night.csv"


@pytest.fixture
def without_extra(tmp_path) -> dict[str, str]:
    """The environment in which what the extra `loadtest` brings is not installed."""
    for name in EXTRA:
        tmp_path.joinpath(f"{name}.py").write_text(
            f"raise ModuleNotFoundError('No module named {name}', name='{name}')\n"
        )
    return {"PYTHONPATH": str(tmp_path)}


async def test_the_replay_needs_no_extra(loadtest, without_extra) -> None:
    """A score log is replayed with nothing but the service's own dependencies."""
    ended = await loadtest("replay", str(SAMPLE), "--speed", "max", environment=without_extra)
    assert (ended.status, ended.last_line) == (0, "matches 60/60"), ended.err


async def test_help_needs_no_extra(loadtest, without_extra) -> None:
    """Both commands are told without any extra."""
    ended = await loadtest("--help", environment=without_extra)
    assert ended.status == 0
    assert "run " in ended.out
    assert "replay " in ended.out


async def test_a_run_without_the_extra_says_how_to_get_it(loadtest, without_extra) -> None:
    """Without numpy a run is exit status 2 with one line that says what to install."""
    ended = await loadtest("run", "steady", environment=without_extra)
    assert (ended.status, ended.err) == (2, "loadtest: run needs numpy: pip install '.[loadtest]'\n")


@pytest.mark.parametrize("name", ["locust", "psutil"])
def test_each_part_of_the_extra_is_asked_for(refuse, monkeypatch, name) -> None:
    """Where another package brought numpy, what else is missing is named before a service is started."""
    monkeypatch.setitem(sys.modules, name, None)
    ended = refuse("run", "steady")
    assert (ended.status, ended.err) == (2, f"loadtest: run needs {name}: pip install '.[loadtest]'\n")


async def test_what_stands_behind_two_dashes_goes_to_locust(loadtest, service) -> None:
    """Options that Locust alone knows pass through; one that it does not know either is its error."""
    ended = await loadtest("run", "steady", "--url", service.url, "--rate", "2", "--", "--no-such-option")
    assert ended.status == 2
    assert "unrecognized arguments: --no-such-option" in ended.err


def test_each_command_has_its_own_help(refuse) -> None:
    """`--help` behind a command shows its options, and an unknown command names those there are."""
    assert "--spawn-rate" in refuse("run", "--help").out
    assert "--admin-token" in refuse("replay", "--help").out
    assert "'run', 'ramp', 'compare', 'report', 'replay'" in refuse("walk").err
