"""`python -m loadtest replay`: the options, the progress, the last line and the exit status."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import re
import secrets
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

from loadtest import access
from loadtest.replay import log_format, score_log
from loadtest.replay.log_format import BadRow, LogFormat
from loadtest.replay.log_question import load_asking
from loadtest.replay.playback import MAX_SOCKETS, Progress, ServiceGone, ServiceRefused, play
from loadtest.report.console import rewrite, rewrites_lines, say, tell
from loadtest.target import http_api
from loadtest.target.open_files import TooManySockets, raise_file_limit
from loadtest.target.processes import Service, ServiceFailed
from service.core.protocol import ID_PATTERN
from service.core.protocol import admin_token as checked_token

MATCHES, WRONG_INPUT, DIFFERS = 0, 2, 3
SHOWN_DIFFERENCES = 20
CONFIRMED_WITHIN = 15.0  # seconds that Redis has, after the last answer, to confirm what was answered without it
READ_AGAIN_AFTER = 0.25  # seconds
_SESSION_ID = re.compile(ID_PATTERN)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the description and options of the command to the parser."""
    parser.description = (
        "Play a score log (CSV: time,userId,username,points) through real sockets, then compare the "
        "service's board with a naive fold of the log. The last line says `matches N/N` (exit 0) or "
        "`differs in K/N` (exit 3); a bad log or target ends with exit 2 before anything is sent. A log that can be "
        "read in two ways is asked about on a terminal; elsewhere it is refused, with the option that decides."
    )
    parser.add_argument("file", type=Path, metavar="FILE.csv", help="the log")
    parser.add_argument(
        "--speed", type=_speed, default=1.0, help="factor by which to speed up the log, or max (default 1)"
    )
    parser.add_argument("--session", type=_session, help="session to play into (default: a new one)")
    parser.add_argument("--url", help="service to play against, http://host:port (default: start one)")
    parser.add_argument("--reset", action="store_true", help="clear the session's scores first")
    parser.add_argument("--admin-token", help="token for --reset, if the service requires one")
    parser.add_argument(
        "--admin-token-file", metavar="FILE", help="file with that token, so that a list of processes does not show it"
    )
    parser.add_argument(
        "--header", action="append", default=[], metavar="NAME:VALUE",
        help="a header for every request to the service, NAME:VALUE, as a gateway may want it (repeatable)",
    )  # fmt: skip
    parser.add_argument(
        "--ca-file",
        default="",
        metavar="FILE.pem",
        help="a file of CA certificates (PEM) to trust besides the system's",
    )
    parser.add_argument(
        "--player-secret",
        default="",
        help="secret with which all players join, 16 to 64 of A-Z a-z 0-9 _ -, to play on as those of an earlier "
        "replay where the service locks players (default: a new one)",
    )
    log_format.add_options(parser)
    parser.set_defaults(run=run)


def _speed(text: str) -> float | None:
    """A factor, None for `max`."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 < speed < math.inf:
        raise argparse.ArgumentTypeError(f"expected a positive number or max, got {text}")
    return speed


def _session(text: str) -> str:
    if not _SESSION_ID.fullmatch(text):
        raise argparse.ArgumentTypeError(f"expected 1 to 64 characters from A-Z a-z 0-9 _ . -, got {text}")
    return text


def _admin_token(token: str | None, file: str | None) -> str | None:
    """The token that was given, or that the file holds. Raises ValueError; the text does not repeat the token."""
    if token is not None and file is not None:
        raise ValueError("--admin-token: expected a token or --admin-token-file, got both")
    option, came = ("--admin-token", "a value that cannot be shown") if file is None else ("--admin-token-file", file)
    try:
        text = token if file is None else Path(file).read_text("utf-8-sig")
        return None if text is None else checked_token(text)
    except OSError as error:
        problem = f"expected a file that can be read ({error.strerror})"
    except UnicodeDecodeError:
        problem = "expected a file of UTF-8 characters"
    except ValueError as error:
        problem = str(error)
    raise ValueError(f"{option}: {problem}, got {came}")


def run(options: argparse.Namespace) -> int:
    """Replay the file; return the exit status."""
    try:
        access.use(options.header, options.ca_file, options.player_secret)
        admin_token = _admin_token(options.admin_token, options.admin_token_file)
        log, _ = load_asking(options.file, LogFormat.of(options), options.speed)
        rows = log.rows
        totals = score_log.fold(rows)
        raise_file_limit(min(len(totals), MAX_SOCKETS))
        session_id = options.session or f"replay-{secrets.token_hex(4)}"
        with _target(options.url, len(totals), options.speed) as url:
            _clear(url, session_id, reset=options.reset, admin_token=admin_token)
            say(f"{len(rows)} rows, {len(totals)} players → {access.shown(url)} session {session_id}")
            say(f"the log was read as {log.read_as}")
            return _replay(rows, totals, url, session_id, options.speed)
    except (score_log.Unreadable, BadRow) as error:
        say(f"replay: {options.file}: {error}")
    except (OSError, ValueError, TooManySockets, ServiceFailed, http_api.Unreachable, _HasScores) as error:
        say(f"replay: {error}")
    return WRONG_INPUT


class _HasScores(Exception):
    """The session has scores, and --reset was not given."""


@contextlib.contextmanager
def _target(url: str | None, players: int, speed: float | None) -> Iterator[str]:
    if url is not None:
        http_api.identify(url)
        yield url
        return
    # A log may exceed the limits per connection, and here no other client needs protection from it.
    limits = {"rate": 1_000_000, "burst": 1_000_000, "max-players": max(players, 20_000)}
    if speed is None:
        limits["tick-ms"] = 250  # no viewer can follow boards faster than that
    with Service(part for name, value in limits.items() for part in (f"--{name}", str(value))) as service:
        yield service.url


def _clear(url: str, session_id: str, *, reset: bool, admin_token: str | None) -> None:
    players = http_api.players(url, session_id)
    if players and not reset:
        raise _HasScores(
            f"session {session_id} at {access.shown(url)}: expected one without scores, got {players} players; "
            "use --reset to clear it, or another --session"
        )
    if players:
        http_api.reset(url, session_id, admin_token)


def _replay(
    rows: list[score_log.LogRow], totals: dict[str, int], url: str, session_id: str, speed: float | None
) -> int:
    progress = Progress(len(rows))
    try:
        _run(_play_with_progress(rows, progress, url=url, session_id=session_id, speed=speed))
        differences = _differences(totals, url, session_id, progress.provisional)
    except (ServiceGone, ServiceRefused, http_api.Unreachable) as error:
        say(f"replay: {error}")
        tell(f"differs in {len(totals)}/{len(totals)}")
        return DIFFERS
    for refusal in progress.refused[:SHOWN_DIFFERENCES]:
        say(f"refused: {refusal}")
    if not differences:
        tell(f"matches {len(totals)}/{len(totals)}")
        return MATCHES
    for difference in differences[:SHOWN_DIFFERENCES]:
        tell(str(difference))
    if len(differences) > SHOWN_DIFFERENCES:
        tell(f"… and {len(differences) - SHOWN_DIFFERENCES} more")
    tell(f"differs in {len(differences)}/{len(totals)}")
    return DIFFERS


def _differences(totals: dict[str, int], url: str, session_id: str, provisional: int) -> list[score_log.Difference]:
    """Compare the board with the totals. Raises `Unreachable`.

    A provisional score is on the board of the worker that answered it, and any worker may answer here. Where
    there were some, a board that differs is read again until it matches or Redis has had its time.
    """
    ends = time.monotonic() + CONFIRMED_WITHIN
    differences = score_log.compare(totals, http_api.board(url, session_id).entries)
    if differences and provisional:
        say(f"scores answered before Redis confirmed them: {provisional}; waiting up to {CONFIRMED_WITHIN:g} s for it")
    while differences and provisional and time.monotonic() < ends:
        time.sleep(READ_AGAIN_AFTER)
        differences = score_log.compare(totals, http_api.board(url, session_id).entries)
    return differences


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run it on uvloop if installed: with a thousand sockets it pays off."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        asyncio.run(coroutine)
    else:
        uvloop.run(coroutine)


async def _play_with_progress(
    rows: list[score_log.LogRow], progress: Progress, *, url: str, session_id: str, speed: float | None
) -> None:
    showing = asyncio.create_task(_show(progress))
    try:
        if rows:
            await play(rows, url=http_api.ws_url(url), session_id=session_id, speed=speed, progress=progress)
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
        _show_line(progress, last=True)


async def _show(progress: Progress) -> None:
    # On a terminal, one line that is rewritten; in a log file, a line every few seconds.
    while True:
        _show_line(progress)
        await asyncio.sleep(0.2 if rewrites_lines() else 5.0)


_STARTED = time.monotonic()


def _show_line(progress: Progress, *, last: bool = False) -> None:
    share = progress.answered / progress.rows if progress.rows else 1.0
    parts = [f"{progress.answered}/{progress.rows} rows ({share:.0%}), {time.monotonic() - _STARTED:.0f} s"]
    if progress.late > 0.05:
        parts.append(f"{progress.late:.1f} s late")
    if progress.limited:
        parts.append(f"{progress.limited} resent after rate-limited")
    if progress.reconnects:
        parts.append(f"{progress.reconnects} reconnects")
    if rewrites_lines():
        rewrite(", ".join(parts), end="\n" if last else "")
    else:
        say(", ".join(parts))
