"""HTTP requests as bytes, right and wrong: lines, headers, bodies, upgrades, and how they are cut."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

PATHS = (
    "/", "/health", "/ready", "/metrics", "/ws", "/openapi.json", "/api/demo", "/api/leaderboard/DEMO123",
    "/api/leaderboard/DEMO123/players/alice", "/api/qr?to=http://localhost/", "/main.js", "/../../etc/passwd",
    "/%2e%2e/%00", "//elsewhere/", "/api/leaderboard/%ff?limit=-1&offset=9e9", "/" + "a" * 9000, "*", "/\x80", "",
    "http://elsewhere/health", "/api/qr?to=" + "x" * 3000,
)  # fmt: skip
METHODS = ("GET", "GET", "GET", "HEAD", "POST", "OPTIONS", "PUT", "CONNECT", "TRACE", "get", "G\x00T", "x" * 300, "")
VERSIONS = ("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.1 ", "ICY", "")
UPGRADE = (
    ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "MDEyMzQ1Njc4OWFiY2RlZg=="),
)  # fmt: skip
HEADERS = (
    ("Host", "elsewhere"), ("Host", ""), ("Host", "localhost"), ("Connection", "close"), ("Connection", "keep-alive"),
    ("Content-Length", "0"), ("Content-Length", "5"), ("Content-Length", "-1"), ("Content-Length", "1" * 30),
    ("Content-Length", "+5"), ("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "identity, chunked"),
    ("Transfer-Encoding", "xchunked"), ("Expect", "100-continue"), ("Upgrade", "h2c"), ("Origin", "http://elsewhere"),
    ("Origin", "null"), ("Cookie", "a=b; " * 500), ("Cookie", "x" * 20_000), ("Authorization", "Bearer x"),
    ("X-Forwarded-For", "1.2.3.4"), ("Forwarded", 'for="[::1]"'), ("Range", "bytes=0-,0-,5-1"), ("A b", "c"),
    ("", "empty"), ("X-Null", "a\x00b"), ("X-Fold", "a\r\n b"), ("X-High", "\xff\xfe"), ("Accept-Encoding", "*;q=nan"),
    ("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=8"), ("Sec-WebSocket-Protocol", "a,,b"),
    ("If-None-Match", 'W/"x"'), ("If-Modified-Since", "yesterday"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Head:
    """Bytes to send, and whether they must be answered, or the connection ended, at once."""

    data: bytes
    is_whole: bool


def head(rng: Random) -> Head:
    """One request, or what looks like one."""
    kind = rng.random()
    if kind < 0.25:
        return Head(_whole(rng), is_whole=True)
    if kind < 0.35:
        whole = _whole(rng)
        return Head(whole[: rng.randrange(1, len(whole))], is_whole=False)
    if kind < 0.4:
        return Head(rng.randbytes(rng.randint(1, 300)), is_whole=False)
    if kind < 0.5:
        return Head(_upgrade(rng), is_whole=False)
    return Head(_wild(rng), is_whole=False)


def _whole(rng: Random) -> bytes:
    """A request that any server has to answer."""
    path = rng.choice([path for path in PATHS if path.startswith("/") and path.isascii()])
    more = rng.sample([one for one in HEADERS[2:5] if one[0] != "Host"], 1)
    return _request("GET", path, "HTTP/1.1", [("Host", "localhost"), *more])


def _upgrade(rng: Random) -> bytes:
    """A handshake, mostly a right one, with frames behind it."""
    more = rng.choices(HEADERS, k=rng.choice((0, 0, 1, 2)))
    return _request("GET", "/ws", "HTTP/1.1", [("Host", "localhost"), *UPGRADE, *more]) + _body(rng)


def _wild(rng: Random) -> bytes:
    method, path, version = rng.choice(METHODS), rng.choice(PATHS), rng.choice(VERSIONS)
    headers = [("Host", "localhost")] * (rng.random() < 0.8) + rng.choices(HEADERS, k=rng.choice((0, 1, 2, 5)))
    if rng.random() < 0.4:
        headers += [pair for pair in UPGRADE if rng.random() < 0.9]
    if rng.random() < 0.05:
        headers += [("X", "y")] * rng.choice((101, 200, 5000))
    rng.shuffle(headers)
    ending = rng.choices(("\r\n", "\n", "\r", "\r\n\r\n"), (12, 2, 1, 1))[0]
    return _request(method, path, version, headers, ending) * rng.choice((1, 1, 1, 2, 20)) + _body(rng)


def _request(method: str, path: str, version: str, headers: list[tuple[str, str]], ending: str = "\r\n") -> bytes:
    lines = [f"{method} {path} {version}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return ending.join(lines).encode("latin-1")


def _body(rng: Random) -> bytes:
    return rng.choice((
        b"", b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"fffffffffffffffff\r\n", b"-5\r\n", b"5;a=b\r\nhel",
        b"0\r\nX: y\r\n\r\n", b"\x89\x80\0\0\0\0", rng.randbytes(100), b"x" * 70_000,
    ))  # fmt: skip
