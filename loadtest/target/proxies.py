"""Which proxy stands before a URL: none before this machine, else what the environment or the system says.

What urllib does not know by itself, addresses in `no_proxy` as networks (`10.0.0.0/8`), holds too.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_this_machine(host: str) -> bool:
    """Whether the host, a name or an address, stands for the machine that this runs on."""
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(name)
    return address is not None and address.is_loopback


def is_direct(url: str) -> bool:
    """Whether the host of the URL must be reached without a proxy, whatever the scheme."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_this_machine(host) or proxy_bypass(f"{host}:{parts.port}" if parts.port else host):
        return True
    address = _address(host)
    return address is not None and (address.is_unspecified or any(address in network for network in _excepted()))


def proxy_for(url: str) -> str | None:
    """The URL of the proxy through which the HTTP URL is reached, None for a direct connection."""
    if is_direct(url):
        return None
    proxies = getproxies()
    return proxies.get(urlsplit(url).scheme) or proxies.get("all") or None


def _address(host: str) -> Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _excepted() -> Iterator[Network]:
    for one in getproxies().get("no", "").split(","):
        with contextlib.suppress(ValueError):  # a name
            yield ipaddress.ip_network(one.strip(), strict=False)
