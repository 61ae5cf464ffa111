"""Who may call, decided before anything else happens: Host, Origin, and headers.

- A foreign `Host` is how DNS rebinding reaches a service on loopback: 400.
- A foreign `Origin` is another web site acting through a visitor's browser: 403. No Origin means
  that no browser is involved.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from service.core.errors import CloseCode
from service.core.host_names import DEFAULT_PORTS, Authority, HostRule, Origin, OriginRule
from service.core.local_addresses import is_loopback
from service.metrics import Metrics

# Jupyter frames the page from its own port of the same machine. VS Code does not: its web views have no such address.
_FRAME_ANCESTORS = ("'self'", "http://localhost:*", "http://127.0.0.1:*")
# Balancers ask by an address or a name of their own, and learn nothing that is of use to a foreign page.
_PROBES = ("/health", "/ready")
_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


class AccessRules:
    """The rules of access, apart from any framework."""

    def __init__(self, *, allowed_hosts: Iterable[str] = (), allowed_origins: Iterable[str] = ()) -> None:
        self._hosts = tuple(map(HostRule.parse, allowed_hosts))
        self._origins = tuple(map(OriginRule.parse, allowed_origins))

    @property
    def allow_other_names(self) -> bool:
        """Whether they allow a host, or a page's, beyond loopback."""
        named = (*self._hosts, *(rule.host for rule in self._origins))
        return not all(is_loopback(rule.name) for rule in named)

    def host_is_fine(self, host: str) -> bool:
        """Whether the service answers to this Host header."""
        authority = Authority.parse(host)
        return authority is not None and (
            authority.is_address or authority.name == "localhost" or any(rule.allows(authority) for rule in self._hosts)
        )

    def origin_is_fine(self, origin: str, host: str) -> bool:
        """Whether a page of this origin may connect or post to a service called by this Host."""
        page, authority = Origin.parse(origin), Authority.parse(host)
        if page is None or authority is None:
            return False
        # Behind a proxy that ends TLS the schemes differ, so only what a default port means is taken from it.
        own = (authority.name, authority.port_or(DEFAULT_PORTS.get(page.scheme)))
        return (page.name, page.port) == own or any(rule.allows(page) for rule in self._origins)

    def content_security_policy(self) -> str:
        """The policy of every page."""
        ancestors = " ".join([*_FRAME_ANCESTORS, *sorted(map(str, self._origins))])
        return (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
            f"font-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors {ancestors}"
        )


class AccessMiddleware:
    """Applies `AccessRules` to HTTP and, before it is accepted, to WebSocket."""

    def __init__(self, app: ASGIApp, rules: AccessRules, metrics: Metrics, prefix: str = "") -> None:
        self._app = app
        self._rules = rules
        self._metrics = metrics
        self._probes = {path for probe in _PROBES for path in (probe, prefix + probe)}
        self._headers = {**_HEADERS, "Content-Security-Policy": rules.content_security_policy()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        if scope["type"] == "http":
            send = self._with_headers(send)
            if scope["method"] == "HEAD":  # the answer to GET, whose body the server leaves out
                scope = {**scope, "method": "GET"}
        refusal = self._refusal(scope, Headers(scope=scope))
        if refusal is not None:
            if scope["type"] == "websocket":
                self._metrics.refused("host" if refusal[0] == 400 else "origin")
            await _refuse(scope, receive, send, *refusal)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """The status and the reason to refuse a call with, or None."""
        # Two Host headers are a trick on whoever reads the other one (RFC 9112, section 3.2).
        host = _utf8(", ".join(headers.getlist("host")))
        origin = _utf8(", ".join(headers.getlist("origin"))) if "origin" in headers else None
        reads = scope["type"] == "http" and scope["method"] in {"GET", "OPTIONS"}
        if not (self._rules.host_is_fine(host) or (reads and scope["path"] in self._probes)):
            return 400, f"Host: expected one IP address, localhost or an allowed host, got {host[:100]!r}"
        if not reads and origin is not None and not self._rules.origin_is_fine(origin, host):
            return 403, f"Origin: expected the service's own ({host}) or an allowed one, got {origin[:100]!r}"
        return None

    def _with_headers(self, send: Send) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                response = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    response.setdefault(name, value)
            await send(message)

        return send_with_headers


def _utf8(header: str) -> str:
    """The header, which comes as Latin-1, as it is meant: a client may send an international name as it is typed."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeDecodeError:
        return header


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, detail: str) -> None:
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        # A server that cannot answer a handshake with a status of ours says 403.
        await WebSocketClose(CloseCode.FORBIDDEN, detail)(scope, receive, send)
        return
    await JSONResponse({"detail": detail}, status)(scope, receive, send)
