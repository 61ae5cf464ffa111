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
_NO_SUCH_CALL = {404, 405, 501}  # statuses with which a server says that it knows no such path or method


class Unreachable(Exception):
    """There is no leaderboard behind the URL, or it refused the call; the text says which."""


@dataclass(frozen=True, slots=True)
class FetchedBoard:
    """A session's whole board, in order, as one version of it was."""

    entries: list[dict[str, Any]]
    version: int
    epoch: str


def split(urls: str) -> list[str]:
    """The addresses in a text that may name several, with commas between them."""
    return [url for url in (one.strip() for one in urls.split(",")) if url]


def ws_url(url: str) -> str:
    """The WebSocket address of the service at this HTTP address."""
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        usable = False
    if not usable:
        raise Unreachable(f"expected a URL like http://127.0.0.1:8000, got {url}")
    scheme = "wss" if parts.scheme == "https" else "ws"
    return urllib.parse.urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/ws", "", ""))


def identify(url: str) -> None:
    """Make sure that a leaderboard answers at the URL. Raises `Unreachable`."""
    health = _call("GET", url, "/health")
    if not isinstance(health, dict) or not {"status", "storage", "activeConnections"} <= health.keys():
        raise _other_server(url, f"GET /health was answered by other JSON: {json.dumps(health)[:60]}")


def board(url: str, session_id: str) -> FetchedBoard:
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
                return FetchedBoard(entries, page["version"], page["epoch"])


def players(url: str, session_id: str) -> int:
    """How many players of the session hold a score. Raises `Unreachable`."""
    total: int = _call("GET", url, f"/api/leaderboard/{session_id}?limit=1")["totalPlayers"]
    return total


def reset(url: str, session_id: str, admin_token: str | None = None) -> None:
    """Clear the session's scores. Raises `Unreachable`, also when the service does not allow it."""
    headers = {"Authorization": f"Bearer {admin_token}"} if admin_token else {}
    _call("POST", url, f"/api/demo/reset?sessionId={session_id}", headers)


def metrics(url: str) -> dict[str, float]:
    """The samples without labels that `/metrics` has in Prometheus' text form; none where there is no such page."""
    ws_url(url)
    try:
        with urllib.request.urlopen(url.rstrip("/") + "/metrics", timeout=TIMEOUT) as answer:  # noqa: S310 - as below
            text = answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return {}
    samples = (line.split() for line in text.splitlines() if line and line[0] != "#" and "{" not in line)
    return {parts[0]: float(parts[1]) for parts in samples if len(parts) >= 2 and _is_number(parts[1])}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _call(method: str, url: str, path: str, headers: dict[str, str] | None = None) -> Any:
    ws_url(url)
    # The scheme was checked above, so that no file can be read through this.
    request = urllib.request.Request(url.rstrip("/") + path, method=method, headers=headers or {})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            came = f"{method} {path} was answered by {error.code} {error.reason}"
        if error.code in _NO_SUCH_CALL:
            raise _other_server(url, came) from None
        raise Unreachable(f"{url}: {came}") from None
    except ValueError:
        raise _other_server(url, f"{method} {path} was answered, but not by JSON") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise Unreachable(f"{url}: no service answers there ({getattr(reason, 'strerror', None) or reason})") from None
    except http.client.InvalidURL:
        raise Unreachable(f"expected a URL like http://127.0.0.1:8000, got {url}") from None
    except http.client.HTTPException:
        raise _other_server(url, f"{method} {path} was not answered as HTTP wants it") from None


def _other_server(url: str, came: str) -> Unreachable:
    return Unreachable(f"{url}: this is not the leaderboard ({came})")
