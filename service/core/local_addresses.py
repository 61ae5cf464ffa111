"""What an address means: this machine's loopback, a client's network, or a Redis that the service starts itself."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether the host (a name or an address) is this machine's loopback."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def network_of(host: str | None) -> str | None:
    """What clients are counted by: an IPv4 address, or the /64 network of an IPv6 address, which one household gets.

    None for this machine: loopback, or a socket in the file system, which has no address.
    """
    if not host or is_loopback(host):
        return None
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


def folder_of(redis_url: str) -> str | None:
    """FOLDER for `embedded:FOLDER`, "" for plain `embedded`, None for the address of another server.

    Raises `ValueError` for `embedded:` without a folder, which would keep no data although that was asked for.
    """
    kind, colon, folder = redis_url.partition(":")
    if kind != "embedded":
        return None
    if colon and not folder:
        raise ValueError("expected embedded, or embedded:FOLDER with a folder")
    return folder
