"""The few REST calls a load test needs; they block, in this process' own way of blocking."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

PAGE = 1000  # rows, the most the service gives at once
TIMEOUT = 10.0  # seconds


class Unreachable(Exception):
    """There is no service behind the URL, or it refused the call; the text says which."""


@dataclass(frozen=True, slots=True)
class Board:
    """A session's whole board, in order, as one version of it was."""

    entries: list[dict[str, Any]]
    version: int
    epoch: str


def ws_url(url: str) -> str:
    """The WebSocket address of the service at this HTTP address."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise Unreachable(f"expected a URL like http://127.0.0.1:8000, got {url}")
    scheme = "wss" if parts.scheme == "https" else "ws"
    return urllib.parse.urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/ws", "", ""))


def board(url: str, session_id: str) -> Board:
    """All pages of the board, all of the same version. Raises `Unreachable`."""
    while True:
        entries: list[dict[str, Any]] = []
        first: dict[str, Any] | None = None
        while True:
            page = _call("GET", url, f"/api/leaderboard/{session_id}?limit={PAGE}&offset={len(entries)}")
            first = first or page
            if (page["version"], page["epoch"]) != (first["version"], first["epoch"]):
                break  # it moved while it was read: begin again
            entries += page["leaderboard"]
            if not page["leaderboard"] or len(entries) >= page["totalPlayers"]:
                return Board(entries, page["version"], page["epoch"])


def players(url: str, session_id: str) -> int:
    """How many players of the session hold a score. Raises `Unreachable`."""
    total: int = _call("GET", url, f"/api/leaderboard/{session_id}?limit=1")["totalPlayers"]
    return total


def reset(url: str, session_id: str, admin_token: str | None = None) -> None:
    """Clear the session's scores. Raises `Unreachable`, also when the service does not allow it."""
    headers = {"Authorization": f"Bearer {admin_token}"} if admin_token else {}
    _call("POST", url, f"/api/demo/reset?sessionId={session_id}", headers)


def _call(method: str, url: str, path: str, headers: dict[str, str] | None = None) -> Any:
    ws_url(url)
    # The scheme was checked above, so that no file can be read through this.
    request = urllib.request.Request(url.rstrip("/") + path, method=method, headers=headers or {})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            raise Unreachable(f"{url}: {method} {path} was answered by {error.code} {error.reason}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise Unreachable(f"{url}: no service answers there ({reason})") from None
