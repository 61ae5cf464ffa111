"""What `python -m loadtest replay` and `run replay` make of a log as spreadsheets write it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

EXPORT = "sep=;\r\nPunkte;Spieler;Name;Zeit\r\n10,0;a;Zoë;{}\r\n5,0;b;Ann;{}\r\n;;;\r\n"
COLUMNS = "time=Zeit,userId=Spieler,username=Name,points=Punkte"


def export(path: Path, *times: str) -> str:
    path.write_bytes(EXPORT.format(*times).encode("cp1252"))
    return str(path)


async def test_an_export_is_replayed_and_its_reading_told(loadtest, service, tmp_path) -> None:
    """A German export with milliseconds gives the board of its points, and one line says how it was read."""
    log = export(tmp_path / "l.csv", "1767225600000", "1767225600250")
    ended = await loadtest("replay", log, "--url", service.url, "--columns", COLUMNS, "--time-unit", "ms")
    assert (ended.status, ended.out) == (0, "matches 2/2\n"), ended.err
    said = "the log was read as Windows-1252, separator semicolon, times: milliseconds, blank rows left out: 1\n"
    assert said in ended.err


@pytest.mark.parametrize("command", [("replay",), ("run", "replay", "--log")])
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), "line 2: expected the header time,userId,username,points, got 'Punkte,Spieler,Name,Zeit'; --columns maps"),
        (("--columns", COLUMNS), "use --time-unit s (seconds: the log lasts 25 min) or --time-unit ms (milliseconds"),
        (("--columns", COLUMNS, "--time-unit", "weeks"), "--time-unit: expected one of s, ms"),
        (("--columns", "Zeit"), "--columns: expected each of time, userId, username, points at most once"),
    ],
)
def test_what_is_not_clear_is_refused_with_its_option(refuse, tmp_path, command, arguments, error) -> None:
    """Without a terminal an export that is not clear is exit status 2 and one line with the option that decides."""
    ended = refuse(*command, export(tmp_path / "l.csv", "1767225600000", "1767225601500"), *arguments)
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert error in ended.err


def test_a_token_that_cannot_be_sent_is_refused(refuse, tmp_path) -> None:
    """Two tokens, no file, none in it, no text, two lines: status 2 before anything starts, without the token."""
    log = export(tmp_path / "l.csv", "1", "2")
    (tmp_path / "token").write_text("sesame")
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "binary").write_bytes(b"\xff\x00sesame")
    file = "--admin-token-file"
    for arguments, expected in (
        (("--admin-token", "sesame", file, "token"), "--admin-token: expected a token or --admin-token-file, got both"),
        ((file, "none"), "--admin-token-file: expected a file that can be read (No such file or directory), got none"),
        ((file, "empty"), "--admin-token-file: expected a token, got none but blanks, got empty"),
        ((file, "binary"), "--admin-token-file: expected a file of UTF-8 characters, got binary"),
        (("--admin-token", "sesame\nsesame"), "--admin-token: expected a token of one line"),
    ):
        with contextlib.chdir(tmp_path):
            ended = refuse("replay", log, *arguments)
        assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert expected in ended.err
        assert "sesame" not in ended.err
