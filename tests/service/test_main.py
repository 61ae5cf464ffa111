"""Starting and stopping: settings, the first line, clear refusals, clean ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess

import httpx
import psutil
import pytest

from loadtest.target.child_environment import child_environment, is_of_the_user
from service.__main__ import main, parse
from service.settings import Settings


def run(python: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-m", "service", *arguments],
        capture_output=True, text=True, timeout=30, env=child_environment(environment), check=False,
    )  # fmt: skip


def test_the_command_line_wins_over_the_environment(monkeypatch):
    """And the environment over the default."""
    monkeypatch.setenv("LEADERBOARD_TOP", "7")
    monkeypatch.setenv("LEADERBOARD_TICK_MS", "100")
    monkeypatch.setenv("LEADERBOARD_ALLOWED_HOST", "a.example, b.example")
    settings = parse(["--top", "9", "--allowed-origin", "http://x", "--allowed-origin", "http://y"])
    assert (settings.top, settings.tick_ms, settings.rate) == (9, 100.0, 20.0)
    assert settings.allowed_host == ("a.example", "b.example")
    assert settings.allowed_origin == ("http://x", "http://y")


def test_settings_travel_through_the_environment(monkeypatch):
    """What one process writes another one reads as the same."""
    for name in list(os.environ):
        if name.startswith("LEADERBOARD_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    settings = parse(
        ["--ranking", "dense", "--log-json", "--allowed-host", "a", "--allowed-host", "b", "--rate", "1e3"]
    )
    settings.to_environment()
    assert Settings.read().model_dump() == settings.model_dump()


def test_the_address_of_redis_has_its_usual_name_too(monkeypatch):
    """`REDIS_URL`, with `LEADERBOARD_REDIS_URL` before it."""
    monkeypatch.setenv("REDIS_URL", "redis://one")
    assert parse([]).redis_url == "redis://one"
    monkeypatch.setenv("LEADERBOARD_REDIS_URL", "redis://two")
    assert parse([]).redis_url == "redis://two"
    assert parse(["--redis-url", "redis://three"]).redis_url == "redis://three"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--port", "http"], "--port: expected"), (["--port", "70000"], "--port: expected"),
        (["--tick-ms", "0"], "--tick-ms: expected"), (["--ranking", "fair"], "'competition' or 'dense'"),
        (["--host", "0.0.0.0"], "--admin-token"), (["--host", "quiz.invalid"], "--admin-token"),
        (["--rate", "-1"], "--rate: expected"), (["--redis-url", "embedded:"], "embedded:FOLDER"),
        (["--redis-url", "http://127.0.0.1"], "--redis-url: Redis URL must specify"),
        (["--admin-token", ""], "--admin-token"), (["--allowed-host", "http://foo"], "without scheme"),
        (["--allowed-origin", "lab.example"], "expected an origin"),
    ],
)  # fmt: skip
def test_a_setting_that_is_wrong_in_itself_is_one_clear_line(capsys, arguments, told):
    """Exit status 2, nothing on stdout."""
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert told in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--workers", "3"], "--workers: expected 1, or --redis-url"),
        (["--redis-url", "redis://127.0.0.1:x"], "--redis-url"),
        (["--redis-url", "embedded:/dev/null/data"], "expected a folder"),
        (["--host", "quiz.invalid", "--open-admin"], "cannot listen on quiz.invalid"),
        (["--max-connections", "99999999"], "ulimit -Hn"),
    ],
)
def test_a_setting_that_cannot_be_used_here_is_one_clear_line(python, arguments, told):
    """Exit status 2, nothing on stdout, no traceback."""
    result = run(python, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert told in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_bad_variable_names_its_option(python):
    """The same line, wherever the value came from."""
    result = run(python, LEADERBOARD_TOP="many")
    assert result.returncode == 2
    assert result.stderr.strip().endswith('got "many"')
    assert "--top (from LEADERBOARD_TOP)" in result.stderr


def test_a_misspelt_variable_is_told(start_service):
    """It has no effect, and nobody should have to find that out alone."""
    service = start_service(environment={"LEADERBOARD_TOPP": "9"})
    service.stop()
    assert any("LEADERBOARD_TOPP" in line and "is LEADERBOARD_TOP meant?" in line for line in service.log)


def test_a_token_never_shows(python, monkeypatch):
    """Neither as a wrong value nor in the settings' own text."""
    for name in filter(is_of_the_user, list(os.environ)):
        monkeypatch.delenv(name)
    assert "geheim" not in repr(Settings.read(admin_token="geheim"))
    assert "geheim" not in run(python, "--admin-token", "geheim", "--port", "x").stderr
    assert "geheim" not in repr(Settings.read(redis_url="redis://:geheim@127.0.0.1"))
    assert "geheim" not in run(python, "--redis-url", "http://:geheim@127.0.0.1").stderr


def test_a_port_in_use_is_one_clear_line(python, shared_service):
    """The line names the port."""
    port = shared_service.url.rsplit(":", 1)[1]
    result = run(python, "--port", port)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.strip() == f"leaderboard: cannot listen on 127.0.0.1 port {port}: Address already in use"


def test_an_unknown_option_is_refused(python):
    """By the usual usage message."""
    result = run(python, "--tick", "50")
    assert result.returncode == 2
    assert "--tick" in result.stderr


def test_plain_uvicorn_says_a_bad_setting_in_one_line(python):
    """The environment is all it has."""
    result = subprocess.run(
        [python, "-m", "uvicorn", "service.main:app", "--port", "0"],
        capture_output=True, text=True, timeout=30, env=child_environment({"LEADERBOARD_TOP": "many"}), check=False,
    )  # fmt: skip
    assert result.returncode != 0
    assert result.stderr.startswith("leaderboard: --top (from LEADERBOARD_TOP): expected a valid integer")
    assert result.stderr.count("\n") == 1


def test_the_first_line_is_the_url_and_it_serves(start_service):
    """Whoever reads the line can connect at once."""
    service = start_service()
    assert httpx.get(f"{service.url}/health", trust_env=False).status_code == 200


def test_the_log_can_be_json(start_service):
    """One object a line, with the storage said once."""
    service = start_service("--log-json")
    service.stop()
    entries = [json.loads(line) for line in service.log]
    assert sum("memory" in entry["message"] for entry in entries) == 1


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_and_frees_the_port(start_service, sign):
    """Within a second when nobody is connected."""
    service = start_service()
    service.process.send_signal(sign)
    service.process.wait(5)
    with socket.create_server(("127.0.0.1", int(service.url.rsplit(":", 1)[1]))):
        pass


def test_plain_uvicorn_starts_a_redis_of_its_own_too(python):
    """The environment says so; the server ends with it."""
    process = subprocess.Popen(
        [python, "-m", "uvicorn", "service.main:app", "--port", "0"],
        stderr=subprocess.PIPE, text=True, env=child_environment({"LEADERBOARD_REDIS_URL": "embedded"}),
    )  # fmt: skip
    assert process.stderr is not None
    url = next(found[1] for line in process.stderr if (found := re.search(r"running on (http://\S+)", line)))
    assert httpx.get(f"{url}/health", trust_env=False).json()["storage"] == "redis"
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(signal.SIGTERM)
    assert process.stderr.read() is not None
    process.wait(10)
    process.stderr.close()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
