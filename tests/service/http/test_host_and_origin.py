"""Who may call."""

from __future__ import annotations

import pytest
import websockets

from service.http.host_and_origin import AccessRules


@pytest.mark.parametrize(
    ("host", "fine"),
    [
        ("127.0.0.1", True), ("127.0.0.1:8000", True), ("[::1]:8000", True), ("192.168.1.5", True), ("localhost", True),
        ("LOCALHOST:80", True), ("quiz.example:8000", True), ("evil.example", False), ("", False),
        ("localhost.evil.example", False), ("localhost@evil.example", False), ("127.0.0.1.evil.example", False),
        ("a b", False),
    ],
)  # fmt: skip
def test_host_must_be_an_address_or_allowed(host: str, fine: bool):
    """A name that somebody else may point here is refused."""
    assert AccessRules(allowed_hosts=["quiz.example"]).host_is_fine(host) is fine


@pytest.mark.parametrize(
    ("origin", "host", "fine"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8000", True), ("https://quiz.example", "quiz.example", True),
        ("https://quiz.example", "quiz.example:443", True), ("https://127.0.0.1:8000", "127.0.0.1:8000", True),
        ("http://[::1]:8000", "[::1]:8000", True), ("http://LOCALHOST:8000", "localhost:8000", True),
        ("http://localhost:8888", "localhost:8000", False), ("http://127.0.0.1:8000", "localhost:8000", False),
        ("http://evil.example", "127.0.0.1:8000", False), ("null", "127.0.0.1:8000", False),
        ("", "127.0.0.1:8000", False), ("http://127.0.0.1:8000.evil.example", "127.0.0.1:8000", False),
        ("http://127.0.0.1:99999", "127.0.0.1", False), ("https://lab.example:8888", "127.0.0.1:8000", True),
    ],
)  # fmt: skip
def test_origin_must_be_the_services_own_or_allowed(origin: str, host: str, fine: bool):
    """Host and port are compared, the scheme is not."""
    assert AccessRules(allowed_origins=["https://lab.example:8888"]).origin_is_fine(origin, host) is fine


async def test_allowed_names_are_let_in_however_they_are_written(http, connect, start_service):
    """A wildcard, a last dot, an international name as typed and as sent, and a default port."""
    service = start_service(
        "--allowed-host", "*.quiz.example", "--allowed-host", "bücher.example.", "--allowed-origin", "https://*.lab.example:443"
    )  # fmt: skip
    url = service.url
    for host in ("a.quiz.example", "a.quiz.example.", "xn--bcher-kva.example", "bücher.example:8000"):
        answer = await http.get(f"{url}/api/demo", headers={"Host": host.encode()})
        assert answer.status_code == 200, host
        assert (
            "frame-ancestors 'self' http://localhost:* http://127.0.0.1:* https://*.lab.example"
            in (answer.headers["content-security-policy"])
        )
    for host in ("quiz.example", "evil.example", b"\xff.example"):
        assert (await http.get(f"{url}/api/demo", headers={"Host": host})).status_code == 400, host
    peer = await connect(f"ws{url.removeprefix('http')}/ws", origin="https://b.lab.example")
    await peer.send("ping")
    await peer.next("pong")


async def test_a_foreign_host_is_refused_on_http_and_websocket(http, base_url, ws_url):
    """400, before anything is done."""
    for path in ("/", "/metrics", "/api/leaderboard/health", "/static/main.js"):
        assert (await http.get(f"{base_url}{path}", headers={"Host": "evil.example"})).status_code == 400, path
    port = int(base_url.rsplit(":", 1)[1])
    with pytest.raises(websockets.InvalidStatus) as caught:
        await websockets.connect(f"ws://evil.example:{port}/ws", host="127.0.0.1", port=port, proxy=None)
    assert caught.value.response.status_code == 400


async def test_a_balancer_may_ask_by_any_name(http, base_url):
    """Health and readiness are no secret; whatever else is sent to their paths is refused."""
    for path in ("/health", "/ready"):
        for method in ("GET", "HEAD"):
            answer = await http.request(method, f"{base_url}{path}", headers={"Host": "balancer.internal"})
            assert answer.status_code == 200, path
        assert (await http.post(f"{base_url}{path}", headers={"Host": "balancer.internal"})).status_code == 400


@pytest.mark.parametrize(
    "path", ["/", "/static/main.js", "/health", "/ready", "/metrics", "/api/demo", "/api/leaderboard/S", "/docs",
             "/openapi.json", "/asyncapi.json", "/api/qr?to=http://a", "/nowhere"]
)  # fmt: skip
async def test_head_answers_as_get_does(http, base_url, path):
    """With the same status and headers, and without a body."""
    got, headed = await http.get(f"{base_url}{path}"), await http.head(f"{base_url}{path}")
    assert (headed.status_code, headed.content) == (got.status_code, b"")
    assert headed.headers["content-type"] == got.headers["content-type"]
    assert (await http.head(f"{base_url}/api/demo/reset")).status_code == 405


@pytest.mark.parametrize(
    ("path", "sent", "status", "cache"),
    [
        ("/", {}, 200, "no-cache"), ("/static/main.js", {}, 200, "no-cache"), ("/api/demo", {}, 200, "no-store"),
        ("/nowhere", {}, 404, "no-store"), ("/api/demo", {"Host": "evil.example"}, 400, "no-store"),
        ("/api/qr?to=http://a", {}, 200, "max-age=86400"), ("/api/leaderboard/a%20b", {}, 422, "no-store"),
    ],
)  # fmt: skip
async def test_every_answer_says_what_a_browser_may_do_with_it(http, base_url, path, sent, status, cache):
    """The refusals too."""
    answer = await http.get(f"{base_url}{path}", headers=sent)
    assert answer.status_code == status
    assert answer.headers["cache-control"] == cache
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


async def test_two_hosts_are_refused(ws_url):
    """Whichever of them a proxy looked at, the service does not guess."""
    with pytest.raises(websockets.InvalidStatus) as caught:
        await websockets.connect(ws_url, additional_headers={"Host": "localhost"}, proxy=None)
    assert caught.value.response.status_code == 400


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
async def test_a_foreign_origin_is_refused_before_the_upgrade(http, base_url, ws_url, origin):
    """403 for WebSocket and POST; a GET tells nothing that a page could read."""
    with pytest.raises(websockets.InvalidStatus) as caught:
        await websockets.connect(ws_url, origin=origin, proxy=None)
    assert caught.value.response.status_code == 403
    assert (await http.post(f"{base_url}/api/demo/reset", headers={"Origin": origin})).status_code == 403
    assert (await http.get(f"{base_url}/health", headers={"Origin": origin})).status_code == 200


async def test_the_own_origin_connects(connect, base_url, ws_url):
    """The service's own page is at home."""
    peer = await connect(ws_url, origin=base_url)
    await peer.send("ping")
    await peer.next("pong")
