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


def network_of(address: str) -> str:
    """What clients are counted by: an IPv4 address, or the /64 network of an IPv6 address, which one household gets."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # a proxy may name anything
        return address[:45]
    mapped = getattr(found, "ipv4_mapped", None) or found
    return str(mapped) if mapped.version == 4 else str(ipaddress.ip_network((mapped, 64), strict=False))


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
