"""HTTP requests by method and status, and handshakes that are refused, in the metrics."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest
import websockets

from loadtest.target.prometheus_text import Samples
from service.app import create_app
from service.http.request_metrics import RequestMetricsMiddleware
from service.metrics import Metrics
from service.settings import Settings

COUNTED = "leaderboard_http_requests_total"


async def test_requests_are_counted_by_method_and_status() -> None:
    """HEAD as itself, refusals too, and methods that nobody knows as one."""
    transport = httpx.ASGITransport(create_app(Settings()))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        for method, path in (
            ("GET", "/health"), ("HEAD", "/health"), ("GET", "/nowhere"), ("GET", "/api/leaderboard/a b"),
            ("POST", "/api/demo/reset"), ("PATCH", "/health"), ("BREW", "/"),
        ):  # fmt: skip
            await http.request(method, path)
        await http.get("/", headers={"Host": "evil.example"})
        text = (await http.get("/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith(COUNTED) and not line.endswith(" 0.0")]
    assert sorted(lines) == [
        f'{COUNTED}{{code="200",method="GET"}} 1.0',
        f'{COUNTED}{{code="200",method="HEAD"}} 1.0',
        f'{COUNTED}{{code="200",method="POST"}} 1.0',
        f'{COUNTED}{{code="400",method="GET"}} 1.0',
        f'{COUNTED}{{code="404",method="GET"}} 1.0',
        f'{COUNTED}{{code="405",method="other"}} 2.0',
        f'{COUNTED}{{code="422",method="GET"}} 1.0',
    ]


async def test_an_app_that_fails_is_counted_as_500() -> None:
    """As the server answers in its place."""

    async def fails(_scope: object, _receive: object, _send: object) -> None:
        raise RuntimeError

    metrics = Metrics()
    transport = httpx.ASGITransport(RequestMetricsMiddleware(fails, metrics), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        assert (await http.get("/")).status_code == 500
    assert f'{COUNTED}{{code="500",method="GET"}} 1.0' in metrics.page().decode().splitlines()


@pytest.mark.parametrize(
    ("reason", "path", "options"),
    [
        ("host", "/ws", {"additional_headers": {"Host": "evil.example"}}),
        ("origin", "/ws", {"origin": "https://evil.example"}),
        ("path", "/wss", {}),
        ("path", "/static/main.js", {}),
    ],
)
async def test_refused_handshakes_are_counted_by_reason(http, base_url, reason, path, options) -> None:
    """Before the WebSocket opens."""
    before = await refused(http, base_url)
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(base_url.replace("http", "ws", 1) + path, proxy=None, **options)
    assert await refused(http, base_url) == before | {reason: before[reason] + 1}


@pytest.mark.extension
async def test_an_upgrade_that_is_none_is_counted_as_malformed(http, shared_service) -> None:
    """It lacks the key that a WebSocket begins with."""
    before = await refused(http, shared_service.url)
    address = shared_service.url.removeprefix("http://")
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".encode()
        )
        assert (await asyncio.to_thread(client.recv, 4096)).startswith(b"HTTP/1.1 4")
    assert await refused(http, shared_service.url) == before | {"malformed": before["malformed"] + 1}


async def refused(http: httpx.AsyncClient, url: str) -> dict[str, float]:
    text = (await http.get(f"{url}/metrics")).text
    return Samples.parse(text).by("leaderboard_handshakes_refused_total", "reason")
