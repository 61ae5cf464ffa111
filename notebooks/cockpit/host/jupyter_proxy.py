"""The Jupyter server around this kernel, and the way through it from a browser to a port of this machine.

A browser on this machine opens the port directly. A remote one (a JupyterHub, a server that listens
beyond loopback) cannot; if the server has jupyter-server-proxy, it forwards a path of the server to the
port. It keeps the Host header, so the service behind it has to accept the public name.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import httpx
from jupyter_core.paths import jupyter_runtime_dir

from loadtest.target.proxies import is_this_machine

HUB = "JUPYTERHUB_SERVICE_PREFIX"  # in the environment of every server that a Hub starts
PUBLIC_ADDRESSES = ("JUPYTERHUB_PUBLIC_URL", "JUPYTERHUB_PUBLIC_HUB_URL", "JUPYTERHUB_HOST")
ANSWER_WITHIN = 2.0  # seconds
EVERYWHERE = {"", "*", "0.0.0.0", "::"}
NAME_IT = (
    "If the frame says that it expected another Host, name the one in the browser's address: "
    'Demo.start("--allowed-host", "jupyter.example").'
)


@dataclass(frozen=True, slots=True)
class Way:
    """Where a browser finds the page: `base` ends with a slash; `framed` is whether a notebook can show it.

    `note` says what prevents it, or may.
    """

    base: str
    framed: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True)
class JupyterServer:
    """The server that this kernel belongs to: `remote` to its browsers, and with jupyter-server-proxy or without."""

    base_url: str = "/"
    remote: bool = False
    proxies: bool = False

    @classmethod
    def find(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Find it, and ask it whether it forwards ports; a kernel without a server counts as local."""
        prefix = environment.get(HUB)
        # A server writes its address into a file named by its process id, which a kernel knows as its parent's.
        file = Path(jupyter_runtime_dir()) / f"jpserver-{environment.get('JPY_PARENT_PID', '')}.json"
        try:
            known = json.loads(file.read_text("utf-8"))
            base, host, port, secure = (known[name] for name in ("base_url", "hostname", "port", "secure"))
        except (OSError, ValueError, KeyError):
            return cls(prefix or "/", remote=prefix is not None)
        remote = prefix is not None or not is_this_machine(host)
        return cls(base, remote, _forwards("localhost" if host in EVERYWHERE else host, port, base, secure=secure))

    def way(self, port: int) -> Way:
        """Return the way from a browser to the page of the service at `port`."""
        direct = f"http://127.0.0.1:{port}/"
        if self.proxies:
            return Way(f"{self.base_url}proxy/{port}/", note=NAME_IT if self.remote else "")
        if not self.remote:
            return Way(direct)
        note = (
            "This Jupyter server is on another machine than the browser, so the page cannot be framed here. It can "
            "with jupyter-server-proxy installed beside the server; or forward the port "
            f"(ssh -L {port}:127.0.0.1:{port} …) and open the link. The charts and the controls need neither."
        )
        return Way(direct, framed=False, note=note)


def public_hosts(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the public host names of a JupyterHub, without ports."""
    addresses = [urlsplit(environment.get(name, "")).hostname for name in PUBLIC_ADDRESSES]
    return list(dict.fromkeys(name for name in addresses if name))


def _forwards(host: str, port: int, base: str, *, secure: bool) -> bool:
    """Whether the server has jupyter-server-proxy: its path is not 404, even for a client without a login."""
    with contextlib.suppress(httpx.HTTPError, httpx.InvalidURL, UnicodeError):
        url = httpx.URL(scheme="https" if secure else "http", host=host, port=port, path=f"{base}proxy/{port}")
        # Only a status is read, nothing secret is sent, and the certificate need not be for this name. The server
        # is on this machine, whatever its name, so no proxy is used.
        answer = httpx.get(url, timeout=ANSWER_WITHIN, verify=False, trust_env=False)  # noqa: S501
        return answer.status_code != httpx.codes.NOT_FOUND
    return False
