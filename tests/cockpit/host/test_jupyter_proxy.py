"""The way from a browser to the page: direct, through jupyter-server-proxy, or a link and why, as in VS Code."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from cockpit import Demo
from cockpit.host.jupyter_proxy import HUB, NAMED_BY_VS_CODE, JupyterServer, public_hosts

pytestmark = pytest.mark.starts_process

PARENT = "4711"
Note = Callable[..., dict[str, str]]


class Jupyter(BaseHTTPRequestHandler):
    """Answers as a Jupyter server does to who is not logged in: a path that is known is sent to log in."""

    def do_GET(self) -> None:
        known = self.path.startswith(self.server.known)
        self.send_response(302 if known else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def jupyter() -> Iterator[ThreadingHTTPServer]:
    """A server that hands ports on below /user/alice/proxy/."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Jupyter)
    server.known = "/user/alice/proxy/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def note(jupyter: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Note:
    """Note the server's address where Jupyter does; the environment of its kernel."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))

    def note(base_url: str = "/", hostname: str = "localhost", **environment: str) -> dict[str, str]:
        known = {"base_url": base_url, "hostname": hostname, "port": jupyter.server_port, "secure": False}
        (tmp_path / f"jpserver-{PARENT}.json").write_text(json.dumps(known))
        return {"JPY_PARENT_PID": PARENT, **environment}

    return note


def test_a_local_server_needs_no_way_around(note: Note) -> None:
    """A browser on this machine opens the service's own port; one on another is told how it gets there."""
    way = JupyterServer.find(note()).way(8123)
    assert (way.base, way.framed) == ("http://127.0.0.1:8123/", True)
    assert "ssh -L 8123:127.0.0.1:8123" in way.note
    assert JupyterServer.find({}).way(8123) == way


def test_a_proxy_is_found_by_asking(note: Note) -> None:
    """Where the server hands ports on, the page is framed below the server's own path, on this machine too."""
    way = JupyterServer.find(note("/user/alice/")).way(8123)
    assert (way.base, way.framed) == ("/user/alice/proxy/8123/", True)


@pytest.mark.parametrize(
    ("hostname", "environment"),
    [
        ("0.0.0.0", {}),
        ("localhost", {HUB: "/user/bob/"}),
        ("localhost", {"CODESPACES": "true"}),
        ("localhost", {"COLAB_RELEASE_TAG": "release-colab"}),
        ("localhost", {"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}),
    ],
)
def test_a_remote_server_without_a_proxy_gives_a_link(note: Note, hostname: str, environment: dict[str, str]) -> None:
    """One that listens to others, or is hosted, cannot frame a port of its machine: a link, and what to do."""
    way = JupyterServer.find(note("/user/bob/", hostname, **environment)).way(8123)
    assert not way.framed
    assert way.base == "http://127.0.0.1:8123/"
    assert "jupyter-server-proxy" in way.note
    assert "ssh -L 8123:127.0.0.1:8123" in way.note


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({"VSCODE_PID": "4712", "VSCODE_CWD": "/home/alice"}, {NAMED_BY_VS_CODE}),
        ({"VSCODE_PID": "4712"}, set()),  # the interactive window, which has no notebook to name
        ({"VSCODE_CWD": "/home/alice"}, set()),  # on another machine, where VS Code itself does not run
        ({HUB: "/user/alice/"}, {NAMED_BY_VS_CODE}),
    ],
)
def test_vs_code_gives_a_link(environment: dict[str, str], names: set[str]) -> None:
    """A kernel that VS Code starts has its variables, and the notebook's name: a link, and why there is no frame."""
    way = JupyterServer.find(environment, names).way(8123)
    assert (way.base, way.framed) == ("http://127.0.0.1:8123/", False)
    assert way.note.startswith("The page cannot be framed in VS Code")
    assert "ssh -L 8123:127.0.0.1:8123" in way.note


def test_vs_code_on_a_jupyter_server_gives_a_link(note: Note) -> None:
    """A kernel that VS Code starts on a server that forwards ports is still shown in VS Code."""
    assert not JupyterServer.find(note("/user/alice/"), {NAMED_BY_VS_CODE}).way(8123).framed


@pytest.mark.parametrize("variable", ["VSCODE_CWD", "VSCODE_IPC_HOOK_CLI", "VSCODE_INJECTION"])
def test_a_jupyterlab_from_a_terminal_of_vs_code_is_jupyterlab(note: Note, variable: str) -> None:
    """A kernel of a Jupyter server is shown in a browser, whatever its shell has of VS Code."""
    assert JupyterServer.find(note(**{variable: "of the shell"})).way(8123).framed


@pytest.mark.parametrize("variable", ["VSCODE_IPC_HOOK_CLI", "TERM_PROGRAM"])
def test_a_terminal_of_vs_code_is_no_notebook(variable: str) -> None:
    """What VS Code sets for its terminals does not say that it shows the notebook; an empty variable says nothing."""
    assert JupyterServer.find({variable: "vscode", "VSCODE_PID": ""}, ()).way(8123).framed


def test_a_server_that_is_gone_hands_nothing_on(
    note: Note, jupyter: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A note that is left behind, or is none, leads to the direct way."""
    environment = note("/user/alice/")
    jupyter.known = "/somewhere else/"
    assert not JupyterServer.find(environment).proxies
    (Path(os.environ["JUPYTER_RUNTIME_DIR"]) / f"jpserver-{PARENT}.json").write_text("{")
    assert JupyterServer.find(environment) == JupyterServer()


def test_a_hub_names_itself() -> None:
    """Its public names are taken from where it writes them, each once."""
    environment = {
        "JUPYTERHUB_PUBLIC_URL": "https://lab.example/user/alice/",
        "JUPYTERHUB_PUBLIC_HUB_URL": "https://hub.example:8443/hub/",
        "JUPYTERHUB_HOST": "https://lab.example",
    }
    assert public_hosts(environment) == ["lab.example", "hub.example"]
    assert public_hosts({}) == []


async def test_a_demo_behind_a_hub_s_proxy(note: Note, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its frames and links go through the server's path, and its service answers to the Hub's name and no other."""
    environment = note("/user/alice/", **{HUB: "/user/alice/", "JUPYTERHUB_PUBLIC_URL": "https://lab.example/"})
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    demo = await Demo.start()
    try:
        base = f"/user/alice/proxy/{urlsplit(demo.url).port}/?"
        assert demo._page.widget.value.count(f'src="{base}') == 2
        assert demo._page.links.value.count(f'href="{base}') == 4
        assert "expected another Host" in demo._page.widget.value
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(demo.url, headers={"Host": "lab.example"})).status_code == 200
            assert (await http.get(demo.url, headers={"Host": "other.example"})).status_code == 400
            assert f"&theme=dark#admin={demo.admin_token}&secret=" in demo._page.widget.value
            through = {"Host": "lab.example", "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Context": base}
            page = {**through, "Authorization": f"Bearer {demo.admin_token}"}
            call = f"{demo.url}/api/demo/populate"
            assert (await http.post(call, headers=through)).status_code == 401
            assert (await http.post(call, headers=page)).status_code == 200
            await demo.reset()
    finally:
        await demo.stop()


async def test_a_demo_that_cannot_be_framed_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """There is a link instead of a frame, also after the notebook plays as another; the rest works as ever."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv(HUB, "/user/alice/")
    demo = await Demo.start()
    try:
        await demo.play_as("bob")
        assert "<iframe" not in demo._page.widget.value
        address = f"{demo.url}/?session=DEMO123&amp;user=bob"
        link = rf'href="{re.escape(address)}#admin={demo.admin_token}&amp;secret=[^"]+" target="_blank">'
        assert re.search(link + re.escape(f"{address}</a>"), demo._page.widget.value)
        assert "cannot be framed here" in demo._page.widget.value
        await demo.score(25)
        assert demo.troubles == []
    finally:
        await demo.stop()
