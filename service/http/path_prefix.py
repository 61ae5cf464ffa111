"""The service behind a path prefix: under `--root-path`, or under what a trusted proxy says in `X-Forwarded-Prefix`.

Links and redirects are relative, so they work under every prefix, also under one that nobody names. The prefix is
needed where a proxy leaves it in the path, and by a document that tells where the service is.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.settings import ROOT_PATH

PREFIX: Final = re.compile(ROOT_PATH)


class TrustedProxies:
    """The proxies whose headers count, as uvicorn reads them: addresses and networks with commas between, or `*`."""

    def __init__(self, text: str) -> None:
        self._all = text.strip() == "*"
        self._networks = [network for part in text.split(",") if (network := _network(part.strip())) is not None]

    def sent(self, scope: Scope) -> bool:
        """Whether the request came from one of them."""
        if self._all:
            return True
        host, port = scope.get("client") or ("", None)
        # The server, which trusts the same proxies, replaced the proxy's address by the client's; that has no port.
        return port == 0 or self._has(host)

    def _has(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


class PathPrefixMiddleware:
    """Routes a request as if there were no prefix, whether the proxy took it off or left it, and redirects under it."""

    def __init__(self, app: ASGIApp, prefix: str, proxies: TrustedProxies) -> None:
        self._app = app
        self._prefix = prefix
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        prefix = self._prefix or self._forwarded(scope) or scope.get("root_path", "").rstrip("/")
        path = _within(prefix, _within(scope.get("root_path", ""), scope["path"]))
        if prefix and not path and scope["type"] == "http":  # the page's relative links need the slash
            location = _relative(prefix, f"{prefix}/", scope["query_string"].decode("latin-1"))
            await Response(status_code=307, headers={"Location": location})(scope, receive, send)
            return
        scope = {**scope, "root_path": prefix, "path": prefix + path}

        async def send_relative(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 307:
                headers = MutableHeaders(scope=message)
                to = urlsplit(headers["Location"])
                headers["Location"] = _relative(scope["path"], to.path, to.query)
            await send(message)

        await self._app(scope, receive, send_relative if scope["type"] == "http" else send)

    def _forwarded(self, scope: Scope) -> str:
        """The prefix that a trusted proxy names, or none."""
        named = Headers(scope=scope).get("x-forwarded-prefix", "").rstrip("/")
        return named if PREFIX.fullmatch(named) and self._proxies.sent(scope) else ""


def _within(prefix: str, path: str) -> str:
    """The path without the prefix, if it is under it."""
    return path.removeprefix(prefix) if prefix and f"{path}/".startswith(f"{prefix}/") else path


def _relative(path: str, to: str, query: str) -> str:
    """`to`, which differs from `path` only by slashes at its end, as a reference relative to `path`."""
    slashes = len(path) - len(path.rstrip("/"))
    name = to.rstrip("/").rpartition("/")[2]
    end = "/" if to.endswith("/") else ""
    return ("../" * slashes or "./") + name + end + (f"?{query}" if query else "")


def _network(text: str) -> Any:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:  # the path of a socket, which uvicorn allows
        return None
