"""Hosts and origins as they are compared, and the rules that name the allowed ones.

`quiz.example` allows itself, `*.quiz.example` every name below it, and `*` every host. An international name is the
same in Unicode and in ASCII (RFC 5891), a name is the same with and without its last dot (RFC 1034, section 3.1),
and an origin is the same with and without the port that its scheme implies (RFC 6454, section 4).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

import idna

DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
MOST_PORT: Final = 65_535
_AUTHORITY: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+(%[^\[\]]+)?\]|[^:\[\]]+)(?::(?P<port>[0-9]{1,5}))?")
_LABELS: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")  # with the underscores of container names


@dataclass(frozen=True, slots=True)
class Authority:
    """A host and port as in a Host header; `port` is None when it was not written."""

    name: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Authority | None:
        """The parts of `text`, or None when it is no `host[:port]`."""
        match = _AUTHORITY.fullmatch(text)
        if match is None:
            return None
        name, port = _canonical(match["name"]), None if match["port"] is None else int(match["port"])
        return None if name is None or (port or 0) > MOST_PORT else cls(name, port)

    @property
    def is_address(self) -> bool:
        """Whether the host is an IP address."""
        return _address(self.name) is not None

    def port_or(self, default: int | None) -> int | None:
        """The port, or the default one where none was written."""
        return default if self.port is None else self.port


@dataclass(frozen=True, slots=True)
class HostRule:
    """The hosts that an `--allowed-host` allows: one name, all below it, or all (the name is empty)."""

    name: str
    port: int | None
    below: bool

    @classmethod
    def parse(cls, text: str) -> HostRule:
        """The rule that `text` writes. Raises ValueError."""
        if text == "*":
            return cls("", None, below=True)
        below = text.startswith("*.")
        authority = Authority.parse(text.removeprefix("*."))
        if authority is None or (below and authority.is_address):
            raise ValueError("expected a host name like quiz.example, *.quiz.example or *, without scheme and path")
        return cls(authority.name, authority.port, below)

    def allows(self, host: Authority) -> bool:
        """Whether the rule allows this Host; one without a port has the default port of its scheme."""
        same_port = self.port is None or host.port == self.port or (host.port is None and self.port in {80, 443})
        return same_port and self.names(host.name)

    def names(self, name: str) -> bool:
        """Whether the rule allows this name on some port."""
        return not self.name or (name.endswith(f".{self.name}") if self.below else name == self.name)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a page comes from; `port` is never left out."""

    scheme: str
    name: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Origin | None:
        """The origin that `text` writes, or None when it is none, like `null`."""
        scheme, separator, rest = text.partition("://")
        authority = Authority.parse(rest.removesuffix("/"))
        if not separator or authority is None:
            return None
        scheme = scheme.lower()
        return cls(scheme, authority.name, authority.port_or(DEFAULT_PORTS.get(scheme)))


@dataclass(frozen=True, slots=True)
class OriginRule:
    """The origins that an `--allowed-origin` allows: one, or those of all names below one."""

    scheme: str
    host: HostRule
    port: int

    @classmethod
    def parse(cls, text: str) -> OriginRule:
        """The rule that `text` writes. Raises ValueError."""
        scheme, _, rest = text.partition("://")
        scheme, rest = scheme.lower(), rest.removesuffix("/")
        host = _host_rule(rest)
        # A star alone would let every page that a visitor opens act here.
        if scheme not in {"http", "https"} or host is None or not host.name:
            raise ValueError("expected an origin like https://lab.example:8888 or https://*.lab.example")
        return cls(scheme, host, DEFAULT_PORTS[scheme] if host.port is None else host.port)

    def allows(self, origin: Origin) -> bool:
        """Whether the rule allows this origin."""
        return (origin.scheme, origin.port) == (self.scheme, self.port) and self.host.names(origin.name)

    def __str__(self) -> str:
        """The rule as a source of a Content-Security-Policy."""
        name = f"[{self.host.name}]" if ":" in self.host.name else self.host.name
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{'*.' if self.host.below else ''}{name}{port}"


def _host_rule(text: str) -> HostRule | None:
    try:
        return HostRule.parse(text)
    except ValueError:
        return None


def _canonical(name: str) -> str | None:
    """The name in lower-case ASCII without its last dot, an address in its shortest form, or None when it is neither.

    An address is written without brackets.
    """
    address = _address(name.strip("[]"))
    if address is not None:
        return address
    name = name.removesuffix(".").lower()
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode()
        except idna.IDNAError:
            return None
    return name if _LABELS.fullmatch(name) else None


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
