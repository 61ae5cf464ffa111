"""HTTP clients for a service: httpx, with what holds for every call of the kit.

- A service on this machine is reached directly, whatever proxy the environment names; for other hosts the
  environment holds as it does for httpx.
- Certificates are checked against those of the system, which is where a company adds its own.
- A connection is for one call. A service that was restarted in between has closed those that were kept, and
  generator processes are forked, which would then share them.
"""

from __future__ import annotations

import functools
import ssl
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def client(url: str, *, timeout: float) -> httpx.Client:
    """A client for paths below the URL. No step of a call may take more than `timeout` seconds."""
    return httpx.Client(base_url=url, follow_redirects=True, **_options(url, timeout))


def async_client(url: str, *, timeout: float) -> httpx.AsyncClient:
    """The same for asyncio."""
    return httpx.AsyncClient(base_url=url, follow_redirects=True, **_options(url, timeout))


def _options(url: str, timeout: float) -> dict[str, Any]:
    return {
        "timeout": timeout,
        "trust_env": urlsplit(url).hostname not in LOOPBACK,
        "verify": _certificates(),
        "limits": httpx.Limits(max_keepalive_connections=0),
    }


@functools.cache
def _certificates() -> ssl.SSLContext:
    # Reading them takes longer than any call.
    return ssl.create_default_context()
