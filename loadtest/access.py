"""How the services of this process are reached: with which headers and which secret of its players, and whom it trusts.

`use` holds for the whole process and all calls after it, HTTP and WebSocket alike: a gateway in front of a service
asks each of them.
"""

from __future__ import annotations

import base64
import functools
import re
import secrets
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from websockets.client import ClientProtocol
from websockets.http11 import Request
from websockets.uri import parse_uri

from service.core.protocol import SECRET_PATTERN

_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")  # RFC 9110
_RESERVED = {"host", "connection", "upgrade", "content-length", "transfer-encoding"}


def certificates(ca_file: str) -> ssl.SSLContext:
    """Those of the system, which is where a company adds its own, and those in the file. Raises ValueError."""
    return _certificates(ca_file, ssl.get_default_verify_paths())


@functools.cache
def _certificates(ca_file: str, _system: ssl.DefaultVerifyPaths) -> ssl.SSLContext:
    context = ssl.create_default_context()  # reading them takes longer than any call
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:
            reason = "no certificate in it" if isinstance(error, ssl.SSLError) else error.strerror
            raise ValueError(f"--ca-file: expected a file of CA certificates (PEM), got {ca_file} ({reason})") from None
    return context


@dataclass(frozen=True, slots=True)
class Access:
    """Headers, each as `NAME:VALUE`, and a file of CA certificates that are trusted besides the system's.

    All players join with `player_secret`; empty: with one that this process makes.

    Raises ValueError for what cannot be used; the text does not repeat a value, which may be secret.
    """

    headers: tuple[str, ...] = ()
    ca_file: str = ""
    player_secret: str = ""

    def __post_init__(self) -> None:
        for name, _ in self.pairs():
            if name.lower() in _RESERVED or name.lower().startswith("sec-websocket-"):
                raise ValueError(f"--header: expected a header that the client does not set itself, got {name}")
        if self.ca_file:
            certificates(self.ca_file)
        if self.player_secret and re.fullmatch(SECRET_PATTERN, self.player_secret) is None:
            raise ValueError(f"--player-secret: expected a text that matches {SECRET_PATTERN}, got another one")

    def pairs(self) -> list[tuple[str, str]]:
        """Names and values."""
        matches = [_HEADER.fullmatch(header.strip()) for header in self.headers]
        if None in matches:
            raise ValueError("--header: expected NAME:VALUE in one line, got another text")
        return [(match[1], match[2]) for match in matches if match]


_current = Access()


def use(headers: Sequence[str] = (), ca_file: str = "", player_secret: str = "") -> None:
    """Reach services in this way from now on. Raises ValueError."""
    global _current  # noqa: PLW0603 - one process has one way
    _current = Access(tuple(headers), ca_file, player_secret)


def new_player_secret() -> str:
    """A secret that nobody else has, with no dash at its head: on a command line that would be an option."""
    return secrets.token_hex(24)


_OWN_SECRET: Final = new_player_secret()


def player_secret() -> str:
    """The `secret` with which every player of this process joins, again after a reconnect and on each of its sockets.

    One does for all, as a page has one for all whom it plays: the service tells the users apart.
    """
    return _current.player_secret or _OWN_SECRET


def headers_for(url: str) -> dict[str, str]:
    """The headers of each request to the URL; what `user:password@` in it says is one of them."""
    parts = urlsplit(url)
    headers = dict(_current.pairs())
    if parts.username is not None and "authorization" not in {name.lower() for name in headers}:
        known = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(known.encode()).decode()
    return headers


def shown(url: str) -> str:
    """The URL without the user and the password that it may hold."""
    try:
        parts = urlsplit(url)
    except ValueError:  # half an IPv6 address
        return url.rpartition("@")[2]
    if "@" in parts.path + parts.query + parts.fragment:  # a raw / ? or # in a password ends the host too early
        return url.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else url


def opening(url: str) -> tuple[ClientProtocol, Request]:
    """A WebSocket's client side, and the request that opens it."""
    protocol = ClientProtocol(parse_uri(shown(url)))
    request = protocol.connect()
    for name, value in headers_for(url).items():
        if name in request.headers:
            del request.headers[name]
        request.headers[name] = value
    return protocol, request


def tls() -> ssl.SSLContext:
    """The certificates that are trusted."""
    return certificates(_current.ca_file)
