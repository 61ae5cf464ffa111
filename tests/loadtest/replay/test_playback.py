from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from loadtest.cli import replay

SAMPLE = Path(__file__).parents[3] / "loadtest" / "data" / "quiz_night.csv"
HEADER = "time,userId,username,points\n"
ROWS = [f"{number},u{number},U{number},{number + 1}" for number in range(6)]


def log(path: Path, *rows: str) -> str:
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows), "utf-8")
    return str(path)


def get(url: str) -> dict[str, Any]:
    return httpx.get(url, trust_env=False).json()


def post(url: str, token: str) -> None:
    httpx.post(url, headers={"Authorization": f"Bearer {token}".encode()}, trust_env=False).raise_for_status()


@pytest.fixture
def away(start_service, distort):
    """Freeze a Redis under two workers, and give the URL of both: one takes so many scores, then the other answers."""

    async def start(redis, scores: int) -> str:
        one, other = (start_service("--redis-url", redis.url) for _ in range(2))
        answers = 0

        def passes(_number: int, payload: bytes) -> bool:
            nonlocal answers
            answers += b'"durable":false' in payload
            if answers == scores:
                proxy.target = other.url
            return True

        proxy = await distort(one.url, passes)
        redis.freeze()
        return proxy.url

    return start


async def test_the_sample_log_matches_at_full_speed(loadtest) -> None:
    """The sample log, played through a service that the command starts, gives the board of its fold."""
    ended = await loadtest("replay", str(SAMPLE), "--speed", "max")
    assert (ended.status, ended.out) == (0, "matches 60/60\n")
    assert "1375/1375 rows (100%)" in ended.err


async def test_thousands_of_players_share_sockets(loadtest, start_service, tmp_path) -> None:
    """With 2,500 players, ties and negative points the board matches, over a thousand sockets at most."""
    service = start_service("--rate", "100000", "--burst", "100000", "--tick-ms", "250", "--max-connections", "1000")
    dice = random.Random(5)
    rows = [f"{number // 9},u{number % 2500},U{number % 2500},{dice.choice([-5, 0, 5, 10])}" for number in range(6000)]
    ended = await loadtest("replay", log(tmp_path / "l.csv", *rows), "--speed", "max", "--url", service.url)
    assert (ended.status, ended.last_line) == (0, "matches 2500/2500"), ended.err


async def test_rate_limited_rows_are_sent_again(loadtest, service, tmp_path) -> None:
    """A player far above the service's rate loses and doubles nothing."""
    rows = [f"0,fast,Fast,{number}" for number in range(60)]
    ended = await loadtest("replay", log(tmp_path / "l.csv", *rows), "--speed", "max", "--url", service.url)
    assert (ended.status, ended.last_line) == (0, "matches 1/1"), ended.err
    assert "resent after rate-limited" in ended.err


async def test_rows_lost_with_the_connection_are_sent_again(loadtest, service, distort, tmp_path) -> None:
    """Connections that break before every fifth answer cost nothing: a row that had counted counts once."""
    answers = 0

    def passes(_number: int, payload: bytes) -> bool | None:
        nonlocal answers
        if b'"opId":"' not in payload:
            return True
        answers += 1
        return None if answers % 5 == 0 else True

    proxy = await distort(service.url, passes)
    rows = [f"{number},u{number % 3},U,{number}" for number in range(20)]
    ended = await loadtest("replay", log(tmp_path / "l.csv", *rows), "--speed", "max", "--url", proxy.url)
    assert (ended.status, ended.last_line) == (0, "matches 3/3"), ended.err
    assert proxy.swallowed >= 4
    assert "reconnects" in ended.err


async def test_players_who_are_locked_are_played_on_with_their_secret(loadtest, start_service, tmp_path) -> None:
    """A second replay has them with the same secret only; without it, it ends with the service's text."""
    url = start_service("--locked-players", "--open-admin").url
    path = log(tmp_path / "l.csv", "0,alice,Alice,7", "1,bob,Bob,5")
    again = ("replay", path, "--speed", "max", "--url", url, "--session", "S", "--reset")
    for _ in range(2):
        ended = await loadtest(*again, "--player-secret", "of-all-players-of-both")
        assert (ended.status, ended.last_line) == (0, "matches 2/2"), ended.err
    ended = await loadtest(*again)
    assert (ended.status, ended.last_line) == (3, "differs in 2/2")
    assert "taken: expected a user whom nobody plays yet" in ended.err


async def test_the_log_keeps_its_times(loadtest, service, tmp_path) -> None:
    """At speed 2,400 a log of an hour takes one second and a half; ISO times do as well as seconds."""
    rows = ["2026-01-01T10:00:00Z,a,A,1", "2026-01-01T11:00:00Z,b,B,2"]
    path = log(tmp_path / "l.csv", *rows)
    began = time.monotonic()
    ended = await loadtest("replay", path, "--speed", "2400", "--url", service.url, "--session", "S")
    assert (ended.status, ended.last_line) == (0, "matches 2/2")
    assert 1.5 <= time.monotonic() - began < 60.0
    assert [entry["username"] for entry in get(f"{service.url}/api/leaderboard/S")["leaderboard"]] == ["B", "A"]


async def test_a_session_with_scores_is_left_alone_unless_told(loadtest, refuse, start_service, tmp_path) -> None:
    """It is exit status 2 and stays as it is; with --reset and the token in a file it is cleared and played into."""
    token = "sésame, öffne dich 🔑"
    file = tmp_path / "token"
    file.write_text(f"{token}\n", "utf-8")
    url = start_service("--admin-token-file", str(file)).url
    post(f"{url}/api/demo/populate", token)
    before = get(f"{url}/api/leaderboard/DEMO123")["leaderboard"]
    arguments = ("replay", log(tmp_path / "l.csv", "0,alice,Alice,7"), "--url", url, "--session", "DEMO123")
    for more, error in [((), "expected one without scores, got 6 players"), (("--reset",), "was answered by 401")]:
        ended = refuse(*arguments, *more)
        assert (ended.status, ended.out) == (2, "")
        assert error in ended.err
        assert get(f"{url}/api/leaderboard/DEMO123")["leaderboard"] == before
    ended = await loadtest(*arguments, "--reset", "--admin-token-file", str(file))
    assert (ended.status, ended.last_line) == (0, "matches 1/1"), ended.err


async def test_a_service_that_loses_updates_differs(loadtest, service, distort, tmp_path) -> None:
    """An answer without an effect is found: the differences come first, the last line counts them, status 3."""
    proxy = await distort(service.url, lambda _number, _payload: True)

    async def forge(reader, writer):
        """Take points off on the way to the service, as a service that loses some would."""
        while data := await reader.read(65536):
            if b"HTTP/1.1" in data:
                writer.write(data)
                continue
            writer.write(_with_points_off(data))
        writer.close()

    proxy._copy = forge
    rows = ["0,a,A,100", "1,b,B,100", "2,c,C,50"]
    ended = await loadtest("replay", log(tmp_path / "l.csv", *rows), "--speed", "max", "--url", proxy.url)
    assert ended.status == 3, ended.err
    lines = ended.out.splitlines()
    assert lines[-1].startswith("differs in ")
    assert lines[-1].endswith("/3")
    assert all("expected score" in line for line in lines[:-1])
    assert "waiting" not in ended.err


async def test_scores_that_redis_confirms_later_match(away, under_way, start_redis, tmp_path) -> None:
    """Scores that one worker counted alone match once Redis is back, although another worker shows the board."""
    redis = start_redis()
    url = await away(redis, len(ROWS))
    command = await under_way("replay", log(tmp_path / "l.csv", *ROWS), "--speed", "max", "--url", url)
    await command.says("scores answered before Redis confirmed them: 6; waiting up to 15 s")
    redis.thaw()
    ended = await command.end()
    assert (ended.status, ended.out) == (0, "matches 6/6\n"), ended.err


async def test_scores_that_redis_never_confirms_differ(away, refuse, start_redis, monkeypatch, tmp_path) -> None:
    """Scores that Redis has not confirmed in time are differences, exit status 3."""
    monkeypatch.setattr(replay, "CONFIRMED_WITHIN", 0.5)
    redis = start_redis()
    url = await away(redis, len(ROWS))
    ended = await asyncio.to_thread(refuse, "replay", log(tmp_path / "l.csv", *ROWS), "--speed", "max", "--url", url)
    redis.thaw()
    assert (ended.status, ended.last_line) == (3, "differs in 6/6"), ended.err
    assert "waiting up to 0.5 s" in ended.err


def _with_points_off(data: bytes) -> bytes:
    """The masked frame in `data` with 100 points turned into 900 where it is a score."""
    head = 2 if data[1] & 127 < 126 else 4
    key = data[head : head + 4]
    text = bytes(byte ^ key[place % 4] for place, byte in enumerate(data[head + 4 :]))
    text = text.replace(b'"points":100', b'"points":900')
    return data[: head + 4] + bytes(byte ^ key[place % 4] for place, byte in enumerate(text))


def test_nobody_at_the_url_is_one_line(refuse, tmp_path, nobody) -> None:
    """An address where nobody listens is exit status 2 with one line that names it."""
    ended = refuse("replay", log(tmp_path / "l.csv", "0,a,A,1"), "--url", nobody)
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert f"{nobody}: no service answers there (Connection refused)" in ended.err


def test_another_server_at_the_url_is_one_line(refuse, tmp_path, other_server) -> None:
    """The address of another kind of server is exit status 2 with one line that says so."""
    ended = refuse("replay", log(tmp_path / "l.csv", "0,a,A,1"), "--url", other_server)
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert f"{other_server}: this is not the leaderboard" in ended.err


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(["0,a,A,1", "1,a,A,1.5"], "line 3: points: expected an integer"), (["x,a,A,1"], "line 2: time")],
)
async def test_a_bad_row_stops_everything_before_it_begins(loadtest, service, tmp_path, rows, expected) -> None:
    """A bad row is exit status 2 with its line, and nothing was sent: no session came into being."""
    path = log(tmp_path / "l.csv", *rows)
    ended = await loadtest("replay", path, "--url", service.url, "--session", "S", "--speed", "max")
    assert (ended.status, ended.out) == (2, "")
    assert f"{path}: {expected}" in ended.err
    assert "S" not in get(f"{service.url}/api/demo")["activeSessions"]


@pytest.mark.parametrize(
    "arguments", [["--speed", "0"], ["--speed", "fast"], ["--session", "a b"], ["--url", "nowhere"]]
)
def test_wrong_options_are_wrong_usage(refuse, tmp_path, arguments) -> None:
    """An option that makes no sense is exit status 2 and says what was expected."""
    ended = refuse("replay", log(tmp_path / "l.csv", "0,a,A,1"), *arguments)
    assert ended.status == 2
    assert "expected" in ended.err


@pytest.mark.parametrize(("name", "why"), [("no.csv", "got a path that does not exist"), ("", "got a directory")])
def test_a_file_that_cannot_be_read_is_one_sentence(refuse, tmp_path, name, why) -> None:
    """A missing file and a directory are exit status 2 with one line that names it and why, in words."""
    ended = refuse("replay", str(tmp_path / name))
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert str(tmp_path / name) in ended.err
    assert why in ended.err
    assert "Errno" not in ended.err


def test_a_log_without_rows_is_refused(refuse, tmp_path) -> None:
    """A header alone is exit status 2, and not a match of nothing with nothing."""
    ended = refuse("replay", log(tmp_path / "l.csv"))
    assert (ended.status, ended.out) == (2, "")
    assert "line 2: expected at least one row" in ended.err
