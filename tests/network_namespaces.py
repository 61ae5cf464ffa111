"""Two hosts in one machine: network namespaces with a wire between them."""

from __future__ import annotations

import os
import subprocess
from typing import Final, Self

import pytest

ADDRESSES: Final = ("10.0.0.1", "10.0.0.2")  # seen from within only


class Host:
    """A network namespace; `within` is what to put before a command that is to run in it."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self.within = ("ip", "netns", "exec", name)


class TwoHosts:
    """Two hosts that reach each other and nothing else; they end with the block, and so has to what runs in them."""

    def __enter__(self) -> Self:
        self.hosts = [Host(f"board-{os.getpid()}-{number}", address) for number, address in enumerate(ADDRESSES)]
        try:
            self._lay()
        except (OSError, subprocess.CalledProcessError) as error:
            self.__exit__()
            reason = getattr(error, "stderr", None) or str(error)
            pytest.skip(f"NOT RUN: two hosts – no network namespaces can be made here ({reason.strip()})")
        return self

    def __exit__(self, *_: object) -> None:
        for host in self.hosts:
            subprocess.run(["ip", "netns", "delete", host.name], check=False, capture_output=True)

    def _lay(self) -> None:
        one, other = self.hosts
        for host in self.hosts:
            _ip("netns", "add", host.name)
        _ip("link", "add", "wire", "netns", one.name, "type", "veth", "peer", "name", "wire", "netns", other.name)
        for host in self.hosts:
            _ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", "wire")
            for link in ("wire", "lo"):
                _ip("-n", host.name, "link", "set", link, "up")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
