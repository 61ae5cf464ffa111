"""The way from a browser to the page: direct on one machine, through jupyter-server-proxy, or a link and why."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from cockpit import Demo
from cockpit.host.jupyter_proxy import HUB, JupyterServer, public_hosts

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
    """A browser on this machine opens the service's own port, and nothing is to be said."""
    way = JupyterServer.find(note()).way(8123)
    assert (way.base, way.framed, way.note) == ("http://127.0.0.1:8123/", True, "")
    assert JupyterServer.find({}).way(8123) == way


def test_a_proxy_is_found_by_asking(note: Note) -> None:
    """Where the server hands ports on, the page is framed below the server's own path, on this machine too."""
    way = JupyterServer.find(note("/user/alice/")).way(8123)
    assert (way.base, way.framed, way.note) == ("/user/alice/proxy/8123/", True, "")


@pytest.mark.parametrize(("hostname", "environment"), [("0.0.0.0", {}), ("localhost", {HUB: "/user/bob/"})])
def test_a_remote_server_without_a_proxy_gives_a_link(note: Note, hostname: str, environment: dict[str, str]) -> None:
    """One that listens to others, or belongs to a Hub, cannot frame a port of its machine: a link, and what to do."""
    way = JupyterServer.find(note("/user/bob/", hostname, **environment)).way(8123)
    assert not way.framed
    assert way.base == "http://127.0.0.1:8123/"
    assert "jupyter-server-proxy" in way.note
    assert "ssh -L 8123:127.0.0.1:8123" in way.note


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
        assert f'href="{demo.url}/?session=DEMO123&amp;user=bob"' in demo._page.widget.value
        assert "cannot be framed here" in demo._page.widget.value
        await demo.score(25)
        assert demo.troubles == []
    finally:
        await demo.stop()
