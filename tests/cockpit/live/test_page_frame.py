"""The page in the output of a notebook: framed where the browser reaches it, else a link and why."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cockpit.host.jupyter_proxy import JupyterServer, Way
from cockpit.live.page_frame import PageFrame
from cockpit.ui.theme import STYLE
from playwright.async_api import Browser, Page

from loadtest.target.processes import Service

Output = Callable[..., Awaitable[Page]]


def framed(way: Way) -> str:
    """The HTML that a notebook shows, with Alice as its player."""
    frame = PageFrame(way, "frames", [("Alice", "alice")], 400)
    frame.show("alice")
    return frame.widget.value


class Jupyter(BaseHTTPRequestHandler):
    """Answers with a notebook whose output is `server.shown`, and 400 where it would forward a port."""

    def do_GET(self) -> None:
        self.send_response(400 if self.path.startswith("/proxy/") else 200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(f'{STYLE}<div class="cockpit">{self.server.shown}</div>'.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
async def output(browser: Browser) -> AsyncIterator[Output]:
    """Show HTML as the output of a notebook whose server has a name in the browser."""
    # A real server: to Chromium, an answer that Playwright makes up is none of this machine, and reaches no port of it.
    server = ThreadingHTTPServer(("127.0.0.1", 0), Jupyter)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    context = await browser.new_context()

    async def output(shown: str, name: str = "localhost") -> Page:
        server.shown = shown
        page = await context.new_page()
        await page.goto(f"http://{name}:{server.server_port}/notebooks/01_live_demo.ipynb")
        return page

    yield output
    await context.close()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.browser
async def test_a_page_that_the_browser_reaches_is_framed(output: Output, shared_service: Service) -> None:
    """The frame is live, and nothing below it takes room or is to be read."""
    way = JupyterServer().way(int(shared_service.url.rpartition(":")[2]))
    page = await output(framed(way))
    await page.frame_locator("iframe.cockpit-light").locator('html[data-connection="live"]').wait_for()
    assert "ssh -L" in way.note
    assert await page.get_by_text("ssh -L").is_hidden()
    below = await page.locator(".cockpit-unreached").bounding_box()
    assert below is not None
    assert below["height"] == 0


@pytest.mark.browser
async def test_a_page_that_the_browser_does_not_reach_is_said_to_be_so(output: Output) -> None:
    """Where the port is of another machine, the line below the blank frame says what to do, and has the link."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        port = closed.getsockname()[1]
        page = await output(framed(JupyterServer().way(port)))
        await page.get_by_text(f"does not reach the page at 127.0.0.1:{port}").wait_for()
    link = await page.get_by_role("link").get_attribute("href")
    assert link == f"http://127.0.0.1:{port}/?session=frames&user=alice"


@pytest.mark.browser
async def test_a_page_that_refuses_the_frame_is_said_to_do_so(output: Output, shared_service: Service) -> None:
    """A notebook at a foreign name may not frame the page, and shows the line as well."""
    way = JupyterServer().way(int(shared_service.url.rpartition(":")[2]))
    page = await output(framed(way), "jupyter.localhost")
    await page.get_by_text("does not reach the page").wait_for()


@pytest.mark.browser
async def test_a_proxy_that_may_not_forward_is_said_to_be_so(output: Output) -> None:
    """A page behind jupyter-server-proxy that answers 400, as to a foreign Host, shows what to do."""
    page = await output(framed(JupyterServer(remote=True, proxies=True).way(8123)))
    await page.get_by_text('Demo.start("--allowed-host", "jupyter.example")').wait_for()


@pytest.mark.parametrize("server", [JupyterServer(vs_code=True), JupyterServer(remote=True)])
def test_a_page_that_cannot_be_framed_is_a_link_and_why(server: JupyterServer) -> None:
    """There is no frame that stays blank: the link for the notebook's player, and the reason."""
    shown = framed(server.way(8123))
    assert "<iframe" not in shown
    assert "<object" not in shown
    assert 'href="http://127.0.0.1:8123/?session=frames&amp;user=alice"' in shown
    assert "cannot be framed" in shown
