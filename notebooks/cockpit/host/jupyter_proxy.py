"""The Jupyter server around this kernel, and the way through it from a browser to a port of this machine.

A browser on this machine opens the port itself. One elsewhere – a JupyterHub, a server that listens
to others – cannot; jupyter-server-proxy, where that server has it, hands the port on under a path of
the server's own. It hands it on unchanged, so a service behind it has to answer to the public name.
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

from loadtest.target.http_client import LOOPBACK

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

    `note` says in words what stands in the way, or may.
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
        """Look for it, and ask it whether it hands ports on; a kernel without one is taken to be local."""
        prefix = environment.get(HUB)
        # A server notes its address in a file by its process id; a kernel knows that of its parent.
        file = Path(jupyter_runtime_dir()) / f"jpserver-{environment.get('JPY_PARENT_PID', '')}.json"
        try:
            known = json.loads(file.read_text("utf-8"))
            base, host, port, secure = (known[name] for name in ("base_url", "hostname", "port", "secure"))
        except (OSError, ValueError, KeyError):
            return cls(prefix or "/", remote=prefix is not None)
        remote = prefix is not None or host not in LOOPBACK
        return cls(base, remote, _hands_on("localhost" if host in EVERYWHERE else host, port, base, secure=secure))

    def way(self, port: int) -> Way:
        """From a browser to the page of the service at `port`."""
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
    """The names that a JupyterHub says it is called by from outside, without ports."""
    addresses = [urlsplit(environment.get(name, "")).hostname for name in PUBLIC_ADDRESSES]
    return list(dict.fromkeys(name for name in addresses if name))


def _hands_on(host: str, port: int, base: str, *, secure: bool) -> bool:
    """Whether a path of jupyter-server-proxy is known there: who is not logged in is sent to log in, or is refused."""
    with contextlib.suppress(httpx.HTTPError, httpx.InvalidURL, UnicodeError):
        url = httpx.URL(scheme="https" if secure else "http", host=host, port=port, path=f"{base}proxy/{port}")
        # Nothing is told or believed but a status, and a certificate for this name there need not be. The server is
        # on this machine, whatever its name, so no proxy is asked for it.
        answer = httpx.get(url, timeout=ANSWER_WITHIN, verify=False, trust_env=False)  # noqa: S501
        return answer.status_code != httpx.codes.NOT_FOUND
    return False
