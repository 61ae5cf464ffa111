"""Settings as the environments of deployments give them: what is meant is taken, what cannot be is one clear line."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from service.settings import BadSetting, Settings


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting comes from the shell that runs the tests."""
    for name in list(os.environ):
        if name.startswith("LEADERBOARD_") or name == "REDIS_URL":
            monkeypatch.delenv(name)


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A template that fills in nothing leaves the default."""
    for name in ["REDIS_URL", *(f"LEADERBOARD_{name.upper()}" for name in Settings.model_fields)]:
        monkeypatch.setenv(name, "")
    assert Settings.read() == Settings()
    assert Settings.read().redis_url is None
    assert Settings.read().admin_token is None


def test_an_empty_variable_does_not_hide_the_other_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """`REDIS_URL` is read where `LEADERBOARD_REDIS_URL` is empty."""
    monkeypatch.setenv("LEADERBOARD_REDIS_URL", "")
    monkeypatch.setenv("REDIS_URL", "redis://one")
    assert Settings.read().redis_url == "redis://one"


def test_kubernetes_port_is_named_as_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line says where the variable comes from and what to do; an option overrides it."""
    monkeypatch.setenv("LEADERBOARD_PORT", "tcp://10.0.0.7:8000")
    with pytest.raises(BadSetting, match=r"--port \(from LEADERBOARD_PORT\): expected a port; Kubernetes .* --port"):
        Settings.read()
    assert Settings.read(port=8001).port == 8001


def test_an_app_that_another_server_serves_does_not_read_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of the command are not its own, whatever they are."""
    monkeypatch.setenv("LEADERBOARD_PORT", "tcp://10.0.0.7:8000")
    monkeypatch.setenv("LEADERBOARD_TOP", "7")
    assert (Settings.read_for_app().port, Settings.read_for_app().top) == (8000, 7)


def test_kubernetes_variables_are_not_taken_for_misspelt_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither those of a Service named leaderboard, nor those of one named leaderboard-redis."""
    for name in (
        "SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT_8000_TCP", "PORT_8000_TCP_PROTO",
        "PORT_8000_TCP_PORT", "PORT_8000_TCP_ADDR", "REDIS_SERVICE_HOST", "REDIS_PORT", "REDIS_PORT_6379_TCP_ADDR",
    ):  # fmt: skip
        monkeypatch.setenv(f"LEADERBOARD_{name}", "tcp://10.0.0.7:8000")
    assert Settings.unknown_variables() == {}


def test_a_misspelt_variable_is_shown_with_the_one_that_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """If one is close enough."""
    monkeypatch.setenv("LEADERBOARD_PROT", "9")
    monkeypatch.setenv("LEADERBOARD_ZZZ", "9")
    assert Settings.unknown_variables() == {"LEADERBOARD_PROT": "LEADERBOARD_PORT", "LEADERBOARD_ZZZ": None}


@pytest.mark.parametrize(
    ("given", "token"),
    [("sesame\n", "sesame"), (" sesame\r\n", "sesame"), ("open sesame", "open sesame"), ("sésame 🔑", "sésame 🔑")],
)
def test_a_token_is_taken_without_its_line_end(tmp_path: Path, given: str, token: str) -> None:
    """From an option as from a file, with or without a BOM."""
    assert Settings.read(admin_token=given).admin_token == token
    file = tmp_path / "token"
    for text in (given, f"\ufeff{given}"):
        file.write_text(text, "utf-8", newline="")
        assert Settings.read(admin_token_file=str(file)).admin_token == token


def test_a_file_with_a_token_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be a pipe, so the processes that the service starts get the token itself."""
    file = tmp_path / "token"
    file.write_text("sesame")
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setenv("LEADERBOARD_ADMIN_TOKEN_FILE", str(file))
    settings = Settings.read()
    file.unlink()
    settings.to_environment()
    assert Settings.read().admin_token == "sesame"


@pytest.mark.parametrize("given", ["", "  ", "\n", "one\ntwo", "a\tb", "\udcff"])
def test_a_token_that_cannot_be_sent_is_refused(given: str) -> None:
    """An empty one, a blank one, one of two lines, one that is not UTF-8; the line does not show it."""
    with pytest.raises(BadSetting, match=r"--admin-token: expected a token.*got a value that cannot be shown"):
        Settings.read(admin_token=given)


def test_a_file_that_holds_no_token_is_refused(tmp_path: Path) -> None:
    """A missing file, a folder, an empty file and one that is not UTF-8, each in one line with its path."""
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.write_text("\n")
    binary.write_bytes(b"\xff\xfe\x00")
    for file, expected in (
        (tmp_path / "none", "No such file"), (tmp_path, "Is a directory"), (empty, "but blanks"), (binary, "UTF-8"),
    ):  # fmt: skip
        with pytest.raises(BadSetting, match=f"--admin-token-file: expected .*{expected}.*got .*{file.name}"):
            Settings.read(admin_token_file=str(file))


def test_two_tokens_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service does not choose between a token and a file with one."""
    file = tmp_path / "token"
    file.write_text("sesame")
    monkeypatch.setenv("LEADERBOARD_ADMIN_TOKEN", "other")
    with pytest.raises(BadSetting, match="--admin-token: expected a token or --admin-token-file, got both"):
        Settings.read(admin_token_file=str(file))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("allowed_host", "a.*", "--allowed-host (from LEADERBOARD_ALLOWED_HOST): expected a host name like"),
        ("allowed_host", "quiz.example,http://foo", "without scheme and path"),
        ("allowed_origin", "*", "--allowed-origin (from LEADERBOARD_ALLOWED_ORIGIN): expected an origin like"),
        ("allowed_origin", "https://quiz.example/x", "https://*.lab.example"),
    ],
)
def test_a_host_or_origin_that_never_matches_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    """At the start, with what is expected."""
    monkeypatch.setenv(f"LEADERBOARD_{name.upper()}", value)
    with pytest.raises(BadSetting, match=re.escape(expected)):
        Settings.read()


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1", "redis://127.0.0.1/", "redis://127.0.0.1:6379/5", "redis://:p%2Fq@127.0.0.1/0?db=2",
        "rediss://ann:p@q@redis.example:6380", "unix:///run/redis.sock?db=1", "redis://[::1]:6379", "embedded",
    ],
)  # fmt: skip
def test_an_address_of_redis_is_taken(url: str) -> None:
    """With and without a port, a database, a user and a password."""
    assert Settings.read(redis_url=url).redis_url == url


@pytest.mark.parametrize("url", ["redis://host/quiz", "rediss://host/0/1", "redis://host/-1", "redis://host/1x"])
def test_a_database_is_a_number(url: str) -> None:
    """A name would silently be database 0."""
    with pytest.raises(BadSetting, match="expected a number for the database"):
        Settings.read(redis_url=url)


@pytest.mark.parametrize("variable", ["REDIS_URL", "LEADERBOARD_REDIS_URL"])
def test_the_variable_that_came_is_named(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """Of the two names of the address of Redis, the one that was set."""
    monkeypatch.setenv(variable, "redis://host/quiz")
    with pytest.raises(BadSetting, match=rf"\(from {variable}\)"):
        Settings.read()


@pytest.mark.parametrize("mark", ["/", "?", "#", "@x/", ":", "[", "]", "\u2100"])
@pytest.mark.parametrize("user", ["", "ann"])
def test_no_piece_of_a_password_shows_or_is_a_host(mark: str, user: str) -> None:
    """An unquoted mark in a password either belongs to it, or the line says how to write it."""
    url = f"redis://{user}:geheim{mark}geheim@127.0.0.1:6379"
    try:
        settings = Settings.read(redis_url=url)
    except BadSetting as error:
        assert "geheim" not in str(error)
        assert "in a password, write" in str(error)
    else:
        assert mark == ":"
        assert settings.redis_url == url
