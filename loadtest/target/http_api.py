"""The few REST calls a load test needs; they block, in this process' own way of blocking."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from loadtest import access
from loadtest.target import http_client, proxies
from loadtest.target.prometheus_text import Samples

PAGE = 1000  # rows, the most the service gives at once
TIMEOUT = 10.0  # seconds
_QUOTE = "; in a password, write % / ? # [ ] @ as %25 %2F %3F %23 %5B %5D %40"
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
    """The addresses in a text that may name several, with commas between them; a password may have a comma, too."""
    return [url for url in (one.strip(" ,") for one in re.split(r",(?=[\s,]*https?://)", urls)) if url]


def ws_url(url: str) -> str:
    """The WebSocket address of the service at this HTTP address."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        usable = usable and "@" not in parts.path + parts.query + parts.fragment
    except ValueError:  # a port that is no number, half an IPv6 address
        usable = False
    if not usable:
        raise _no_url(url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/ws", "", ""))


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
    headers = {b"Authorization": f"Bearer {admin_token}".encode()} if admin_token else {}
    _call("POST", url, f"/api/demo/reset?sessionId={session_id}", headers)


def metrics(url: str) -> Samples:
    """What `/metrics` says at this moment. Raises `Unreachable`, also where the page is not Prometheus' text."""
    try:
        return Samples.parse(_answer("GET", url, "/metrics").text)
    except ValueError:
        raise _other_server(url, "GET /metrics was answered, but not by Prometheus' text") from None


def _call(method: str, url: str, path: str, headers: dict[bytes, bytes] | None = None) -> Any:
    try:
        return _answer(method, url, path, headers).json()
    except ValueError:
        raise _other_server(url, f"{method} {path} was answered, but not by JSON") from None


def _answer(method: str, url: str, path: str, headers: dict[bytes, bytes] | None = None) -> httpx.Response:
    """The answer, which is a success. Raises `Unreachable`."""
    ws_url(url)
    try:
        with http_client.client(url, timeout=TIMEOUT) as http:
            answer = http.request(method, path, headers=httpx.Headers(headers, encoding="latin-1"))
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):  # the last from the host's name
        proxy = proxies.proxy_for(url) or ""
        raise (_no_url(url) if _is_url(proxy) else _no_proxy(url, proxy)) from None
    except (httpx.RemoteProtocolError, httpx.DecodingError, httpx.TooManyRedirects):
        raise _other_server(url, f"{method} {path} was not answered as HTTP wants it") from None
    except (httpx.TransportError, ImportError, ValueError) as error:  # the last two: no such proxy can be used
        raise Unreachable(f"{access.shown(url)}: no service answers there ({_reason(error)}){_through(url)}") from None
    if answer.is_success:
        return answer
    came = f"{method} {path} was answered by {answer.status_code} {answer.reason_phrase}"
    other = answer.status_code in _NO_SUCH_CALL
    raise _other_server(url, came) if other else Unreachable(f"{access.shown(url)}: {came}{_through(url)}")


def _through(url: str) -> str:
    proxy = proxies.proxy_for(url)
    return "" if proxy is None else f" through the proxy {access.shown(proxy)}"


def _reason(error: BaseException) -> str:
    """Why there was no answer: in the words of the operating system where it has any, else in those of httpx."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error)


def _is_url(text: str) -> bool:
    with contextlib.suppress(httpx.InvalidURL):
        return bool(httpx.URL(text))
    return False


def _no_url(url: str) -> Unreachable:
    return Unreachable(f"expected a URL like http://127.0.0.1:8000, got {_without_password(url)}")


def _no_proxy(url: str, proxy: str) -> Unreachable:
    expected = f"expected a proxy like http://127.0.0.1:3128, got {_without_password(proxy)}"
    return Unreachable(f"{access.shown(url)}: {expected}")


def _without_password(url: str) -> str:
    """What cannot be read as a URL, and how a password is written in one, if it has any."""
    return access.shown(url) + (_QUOTE if "@" in url else "")


def _other_server(url: str, came: str) -> Unreachable:
    return Unreachable(f"{access.shown(url)}: this is not the leaderboard ({came})")
