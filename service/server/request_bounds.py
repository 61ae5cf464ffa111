"""How large a request may be and how long it may take, before its connection is a WebSocket. Pure.

No call of this service needs a body, so a body has a bound that no honest client meets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SLICE: Final = 4096  # bytes of one connection that are read in one turn


@dataclass(frozen=True, slots=True)
class RequestBounds:
    """The bounds, in bytes and seconds."""

    head_bytes: int = 16 * 1024
    url_bytes: int = 8 * 1024
    headers: int = 100
    body_bytes: int = 64 * 1024
    head_seconds: float = 10.0  # until the head is complete, or a silent connection says something
    body_seconds: float = 10.0  # from the head to the end of the body
    unread_seconds: float = 20.0  # for which a client may leave an answer unread


class Refusal(Exception):
    """A request that is not answered otherwise than by this status; the connection ends with it."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


BAD_SYNTAX: Final = "expected a request in HTTP/1.1, got something else"


class RequestMeter:
    """Counts one request while it is read. Raises `Refusal` at the first byte beyond a bound."""

    __slots__ = ("_bounds", "_fed", "_headers", "_size", "_url", "in_head")

    def __init__(self, bounds: RequestBounds) -> None:
        self._bounds = bounds
        self._fed = 0
        self.begin()
        self._fed = 0  # nothing came yet

    @property
    def started(self) -> bool:
        """Whether anything of the request came, be it an empty line."""
        return self._fed > 0

    def fed(self, size: int) -> None:
        """Count bytes that are about to be read."""
        self._fed += size

    def begin(self) -> None:
        """The first byte of a request was read."""
        self.in_head = True
        self._fed = max(self._fed, 1)
        self._size = len(b"GET  HTTP/1.1\r\n\r\n")
        self._url = 0
        self._headers = 0

    def end(self) -> None:
        """The request is complete."""
        self.in_head = True
        self._fed = 0

    def url(self, size: int) -> None:
        """Count a part of the URL."""
        self._url += size
        if self._url > self._bounds.url_bytes:
            raise Refusal(414, f"expected a URL of at most {self._bounds.url_bytes} bytes, got a longer one")
        self._add(size)

    def header(self, name: bytes, value: bytes) -> None:
        """Count a header, or a trailer."""
        self._headers += 1
        if self._headers > self._bounds.headers:
            raise Refusal(431, f"expected at most {self._bounds.headers} headers, got more")
        self._add(len(name) + len(value) + len(b": \r\n"))

    def declared(self, size: int) -> None:
        """Look at the size of the body that the head declares."""
        if size > self._bounds.body_bytes:
            raise self._body_too_large()

    def head_complete(self) -> None:
        """The head is complete, and is being answered."""
        self.in_head = False
        self._fed = 0

    def check(self) -> None:
        """Look at the bytes that were read: those of a line that is not complete are seen by nothing else."""
        if self.in_head and self._fed > self._bounds.head_bytes:
            raise self._head_too_large()
        if not self.in_head and self._fed > self._bounds.body_bytes:
            raise self._body_too_large()

    def _add(self, size: int) -> None:
        self._size += size
        if self._size > self._bounds.head_bytes:
            raise self._head_too_large()

    def _head_too_large(self) -> Refusal:
        return Refusal(431, f"expected a request head of at most {self._bounds.head_bytes} bytes, got a larger one")

    def _body_too_large(self) -> Refusal:
        return Refusal(413, f"expected a body of at most {self._bounds.body_bytes} bytes, got a larger one")


def check_upgrade(headers: list[tuple[bytes, bytes]]) -> None:
    """Refuse an upgrade with a body, whose bytes could be taken for frames (RFC 9112, section 6)."""
    for name, value in headers:
        if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            raise Refusal(400, f"expected an upgrade without a body, got {name.decode()}")


def body_size(headers: list[tuple[bytes, bytes]]) -> int:
    """The declared size of the body, 0 where none is declared."""
    return max((int(value) for name, value in headers if name == b"content-length"), default=0)
