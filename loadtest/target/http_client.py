"""HTTP clients for a service: httpx, with what holds for every call of the kit.

- A service on this machine is reached directly, whatever proxy there is; for other hosts `proxies` decides.
- `access` says which headers are sent, and which certificates are trusted.
- A connection is for one call. A service that was restarted in between has closed those that were kept, and
  generator processes are forked, which would then share them.
"""

from __future__ import annotations

from typing import Any

import httpx

from loadtest import access
from loadtest.target.proxies import proxy_for


def client(url: str, *, timeout: float) -> httpx.Client:
    """A client for paths below the URL. No step of a call may take more than `timeout` seconds."""
    return httpx.Client(base_url=access.shown(url), follow_redirects=True, **_options(url, timeout))


def async_client(url: str, *, timeout: float) -> httpx.AsyncClient:
    """The same for asyncio."""
    return httpx.AsyncClient(base_url=access.shown(url), follow_redirects=True, **_options(url, timeout))


def _options(url: str, timeout: float) -> dict[str, Any]:
    return {
        "timeout": timeout,
        "trust_env": False,
        "proxy": proxy_for(url),
        "verify": access.tls(),
        "headers": [(name, value.encode()) for name, value in access.headers_for(url).items()],
        "limits": httpx.Limits(max_keepalive_connections=0),
    }
