"""The unit, the image and the compose file: what they start is this service, and runs under what they promise."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
import tomllib
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from deploy.deploy_files import (
    COMPOSE,
    DEPLOY,
    UNIT,
    image_options,
    image_sources,
    image_user,
    placed,
    seconds,
    unit_options,
    unit_values,
)

from loadtest.target.processes import Service
from service.__main__ import SPARE_FILES, check, parse
from service.server.uvicorn_server import configure
from service.settings import Settings

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-of-these-tests"
GRACE = 2.5 + 2  # seconds that a stop may take after the drain: what Redis has to confirm, and close frames


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """A folder with the token, as systemd and compose hand it over."""
    (tmp_path / "admin-token").write_text(TOKEN)
    return tmp_path


@pytest.fixture
def compose() -> dict[str, Any]:
    """The compose file; a loud skip without PyYAML, which JupyterLab brings."""
    yaml = pytest.importorskip("yaml", reason="NOT RUN: the compose file – PyYAML is not installed")
    return yaml.safe_load(COMPOSE.read_text())


def compose_options(service: dict[str, Any], secrets: Path) -> list[str]:
    changes = {"${SITE:-quiz.example}": "quiz.example", "/run/secrets": str(secrets)}
    return placed("\n".join(service["command"]), changes).splitlines()


def test_the_unit_starts_a_service_as_the_proxies_expect_it(secrets: Path) -> None:
    """On the instance's port of loopback, under the path, with a token; it has the files and the time it wants."""
    settings = check(parse(unit_options(8001, secrets)))
    assert (settings.host, settings.port, settings.root_path) == ("127.0.0.1", 8001, "/quiz")
    assert (settings.allowed_host, settings.admin_token) == (("quiz.example",), TOKEN)
    assert int(unit_values("LimitNOFILE")[0]) >= settings.max_connections + SPARE_FILES
    assert seconds(unit_values("TimeoutStopSec")[0]) > settings.drain_seconds + GRACE


def test_the_image_starts_a_service_that_can_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """On all addresses, once there is a token; not as root."""
    monkeypatch.setenv("LEADERBOARD_ADMIN_TOKEN", TOKEN)
    assert check(parse(image_options())).host == "0.0.0.0"
    user, _, group = image_user().partition(":")
    assert min(int(user), int(group)) > 0


def test_the_image_has_all_that_the_package_is_built_from() -> None:
    """What pyproject names is there, and is copied."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    named = {project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml"}
    assert image_sources() == named | {*wheel["packages"], *wheel["force-include"]}
    assert [source for source in image_sources() if not (ROOT / source).exists()] == []


def test_the_compose_file_starts_services_that_may_do_little(compose: dict[str, Any], secrets: Path) -> None:
    """Each has a read-only root, no capabilities and time to drain, and trusts the proxy's network alone."""
    (network,) = compose["networks"]["default"]["ipam"]["config"]
    for name in ("one", "two"):
        service = compose["services"][name]
        settings = check(parse(compose_options(service, secrets)))
        assert (settings.host, settings.root_path, settings.admin_token) == ("0.0.0.0", "/quiz", TOKEN)
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["ulimits"]["nofile"] >= settings.max_connections + SPARE_FILES
        assert seconds(service["stop_grace_period"]) > settings.drain_seconds + GRACE
        assert service["environment"]["FORWARDED_ALLOW_IPS"] == network["subnet"]
        assert "ports" not in service


def test_the_compose_file_names_what_exists(compose: dict[str, Any]) -> None:
    """The Dockerfile, the Caddyfile and its variables, and the services' names and ports."""
    build = compose["services"]["one"]["build"]
    assert (DEPLOY / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).exists()
    caddy = compose["services"]["caddy"]
    assert (DEPLOY / "Caddyfile").exists()
    assert "./Caddyfile:/etc/caddy/Caddyfile:ro" in caddy["volumes"]
    assert set(re.findall(r"\{\$(\w+)", (DEPLOY / "Caddyfile").read_text())) == set(caddy["environment"])
    port = Settings.model_fields["port"].default
    assert caddy["environment"]["UPSTREAMS"].split() == [f"{name}:{port}" for name in ("one", "two")]


@pytest.mark.parametrize(
    ("file", "pattern"), [("nginx.conf", r"proxy_read_timeout (\w+);"), ("haproxy.cfg", r"timeout tunnel (\w+)")]
)
def test_no_proxy_cuts_an_idle_socket(file: str, pattern: str) -> None:
    """It waits for longer than the service does before it pings."""
    (time,) = re.findall(pattern, (DEPLOY / file).read_text())
    interval = configure(Settings(), "service.main:app").ws_ping_interval
    assert interval is not None
    assert seconds(time) >= 2 * interval


@pytest.mark.starts_process
def test_systemd_accepts_the_unit(tmp_path: Path, python: str) -> None:
    """It knows each line, and calls the service well confined: an exposure of 2 or less, of 10."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("NOT RUN: the unit – systemd-analyze is not on the PATH")
    (tmp_path / UNIT.name).write_text(placed(UNIT.read_text(), {"/opt/leaderboard/bin/python": python}))
    instance = tmp_path / "leaderboard@8001.service"
    for command in (["verify", "--man=no"], ["security", "--offline=true", "--threshold=20", "--no-pager"]):
        ended = subprocess.run([program, *command, instance], capture_output=True, text=True, check=False)
        assert (ended.returncode, "Unknown" in ended.stderr) == (0, False), ended.stdout + ended.stderr


def confined(user: str) -> list[str]:
    """The start of a command that runs as PID 1, as this user, without rights, on a file system that is read-only.

    A loud skip where this machine does not allow that.
    """
    uid, _, gid = user.partition(":")
    prefix = [
        "bwrap", "--unshare-user", "--uid", uid, "--gid", gid, "--unshare-pid", "--as-pid-1", "--cap-drop", "ALL",
        "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--die-with-parent",
    ]  # fmt: skip
    if shutil.which("bwrap") is None:
        pytest.skip("NOT RUN: the container's conditions – bwrap is not on the PATH (Debian's package bubblewrap)")
    tried = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"NOT RUN: the container's conditions – {tried.stderr.strip()}")
    return prefix


@pytest.mark.starts_process
def test_the_service_runs_as_a_container_does(compose: dict[str, Any], secrets: Path) -> None:
    """As PID 1, as a user without a name, with no place to write; signals drain it and end it with 0."""
    options = compose_options(compose["services"]["one"], secrets)
    with Service(options, prefix=confined(image_user())) as service:
        process = psutil.Process(service.pid).children()[0]
        assert facts(process.pid) == {"NSpid": "1", "CapEff": "0" * 16, "NoNewPrivs": "1"}
        assert [place for place in writable(process.pid) if not place.startswith(("/dev", "/proc"))] == []
        with httpx.Client(base_url=service.url, headers={"Host": "quiz.example"}, trust_env=False) as http:
            for path in ("/ready", "/quiz/", "/metrics", "/quiz/docs/assets/swagger-ui.css"):
                assert http.get(path).status_code == 200, path
            os.kill(process.pid, signal.SIGTERM)
            ends = time.monotonic() + 5
            while http.get("/ready").status_code != 503:
                assert time.monotonic() < ends, "expected a drain, got none"
            os.kill(process.pid, signal.SIGTERM)  # no need to wait for its end
        assert service.process.wait(10) == 0
    assert [line for line in service.log if '"level":"error"' in line] == []


def facts(pid: int) -> dict[str, str]:
    """What the kernel says of a process: its innermost PID, its capabilities, and whether it can get more."""
    status = Path(f"/proc/{pid}/status").read_text()
    return dict(re.findall(r"^(NSpid|CapEff|NoNewPrivs):.*?(\w+)$", status, re.MULTILINE))


def writable(pid: int) -> list[str]:
    """Where a process sees a file system that is not read-only."""
    mounts = [line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    return [mount[4] for mount in mounts if "ro" not in mount[5].split(",")]
