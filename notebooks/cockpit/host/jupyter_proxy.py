"""The Jupyter server around this kernel, and the way through it from a browser to a port of this machine.

A browser on this machine opens the port directly. A remote one (a JupyterHub, a server that listens
beyond loopback) cannot; if the server has jupyter-server-proxy, it forwards a path of the server to the
port. It keeps the Host header, so the service behind it has to accept the public name. VS Code has a browser of its
own: an output is in a web view (`vscode-webview://…`) that the page's `frame-ancestors` leaves out.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import httpx
from jupyter_core.paths import jupyter_runtime_dir

from loadtest.target.proxies import is_this_machine

HUB = "JUPYTERHUB_SERVICE_PREFIX"  # in the environment of every server that a Hub starts
PUBLIC_ADDRESSES = ("JUPYTERHUB_PUBLIC_URL", "JUPYTERHUB_PUBLIC_HUB_URL", "JUPYTERHUB_HOST")
HOSTED = (HUB, "CODESPACES", "COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE")  # each means a browser somewhere else
# VS Code's Jupyter extension gives a kernel of its own the environment of VS Code, and names the notebook in every
# kernel that it starts, also on a Jupyter server. Its terminals have none of these variables.
VS_CODE = ("VSCODE_PID", "VSCODE_CWD")
NAMED_BY_VS_CODE = "__vsc_ipynb_file__"
ANSWER_WITHIN = 2.0  # seconds
EVERYWHERE = {"", "*", "0.0.0.0", "::"}
FORWARD = "forward the port (ssh -L {port}:127.0.0.1:{port} …)"
NAME_IT = (
    "If the frame says that it expected another Host, name the one in the browser's address: "
    'Demo.start("--allowed-host", "jupyter.example").'
)
NOT_REACHED = (
    "This browser does not reach the page at 127.0.0.1:{port}. If it is on another machine than the kernel, "
    f"{FORWARD} and reload the notebook, or install jupyter-server-proxy beside the Jupyter server."
)
ON_ANOTHER_MACHINE = (
    "The browser may be on another machine than this Jupyter server, so the page cannot be framed here. It can with "
    f"jupyter-server-proxy installed beside the server; or {FORWARD} and open the link. "
    "The charts and the controls need neither."
)
IN_VS_CODE = (
    "The page cannot be framed in VS Code, whose notebooks have a web view of their own: open the link in a browser. "
    f"If the kernel is on another machine, first {FORWARD}; VS Code's Ports view does the same."
)


@dataclass(frozen=True, slots=True)
class Way:
    """Where a browser finds the page: `base` ends with a slash; `framed` is whether a notebook can show it.

    `note` says what prevents that, or what to do in a browser in which the frame stays blank.
    """

    base: str
    framed: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True)
class JupyterServer:
    """The server that this kernel belongs to: `remote` to its browsers, and with jupyter-server-proxy or without.

    `vs_code` is whether VS Code shows its notebook.
    """

    base_url: str = "/"
    remote: bool = False
    proxies: bool = False
    vs_code: bool = False

    @classmethod
    def find(cls, environment: Mapping[str, str] = os.environ, names: Container[str] | None = None) -> Self:
        """Find it, and ask it whether it forwards ports; a kernel without a server counts as local.

        `names` are those of the notebook, by default of this process's `__main__`.
        """
        prefix = environment.get(HUB)
        hosted = any(map(environment.get, HOSTED))
        named = NAMED_BY_VS_CODE in (vars(sys.modules["__main__"]) if names is None else names)
        # A server writes its address into a file named by its process id, which a kernel knows as its parent's.
        file = Path(jupyter_runtime_dir()) / f"jpserver-{environment.get('JPY_PARENT_PID', '')}.json"
        try:
            known = json.loads(file.read_text("utf-8"))
            base, host, port, secure = (known[name] for name in ("base_url", "hostname", "port", "secure"))
        except (OSError, ValueError, KeyError):
            # Only here do the variables count: a shell started by VS Code may start a server for a browser.
            return cls(prefix or "/", hosted, vs_code=named or any(map(environment.get, VS_CODE)))
        remote = hosted or not is_this_machine(host)
        proxies = _forwards("localhost" if host in EVERYWHERE else host, port, base, secure=secure)
        return cls(base, remote, proxies, named)

    def way(self, port: int) -> Way:
        """Return the way from a browser to the page of the service at `port`."""
        direct = f"http://127.0.0.1:{port}/"
        if self.vs_code:
            return Way(direct, framed=False, note=IN_VS_CODE.format(port=port))
        if self.proxies:
            return Way(f"{self.base_url}proxy/{port}/", note=NAME_IT)
        if self.remote:
            return Way(direct, framed=False, note=ON_ANOTHER_MACHINE.format(port=port))
        return Way(direct, note=NOT_REACHED.format(port=port))


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
