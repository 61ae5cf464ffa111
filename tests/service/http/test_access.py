"""Who may call."""

from __future__ import annotations

import pytest
import websockets

from service.core.addresses import is_loopback
from service.http.access import AccessRules, Admin


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


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True),
     ("::ffff:127.0.0.1", True), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("example", False)],
)  # fmt: skip
def test_what_counts_as_loopback(host: str, loopback: bool):
    """All of this machine's own addresses, in every spelling."""
    assert is_loopback(host) is loopback


def refusal(admin: Admin, client: str = "127.0.0.1", host: str = "localhost:8000", token: str | None = None):
    answer = admin.refusal(client=client, host=host, authorization=token)
    return answer and answer[0]


def test_without_a_token_only_this_machine_is_admin():
    """Both the caller and the name it calls must be loopback."""
    admin = Admin()
    assert refusal(admin) is None
    assert refusal(admin, client="10.0.0.9") == 403
    assert refusal(admin, host="10.0.0.1:8000") == 403
    assert refusal(Admin(open_to_all=True), client="10.0.0.9", host="10.0.0.1") is None


def test_with_a_token_everybody_needs_it():
    """Loopback is no exception, and neither is --open-admin."""
    admin = Admin("secret", open_to_all=True)
    assert refusal(admin) == 401
    assert refusal(admin, token="Bearer wrong") == 401
    assert refusal(admin, token="Bearer sécret") == 401
    assert refusal(admin, token="Bearer secret") is None


async def test_a_foreign_host_is_refused_on_http_and_websocket(http, base_url, ws_url):
    """400, before anything is done."""
    assert (await http.get(f"{base_url}/health", headers={"Host": "evil.example"})).status_code == 400
    port = int(base_url.rsplit(":", 1)[1])
    with pytest.raises(websockets.InvalidStatus) as caught:
        await websockets.connect(f"ws://evil.example:{port}/ws", host="127.0.0.1", port=port)
    assert caught.value.response.status_code == 400


async def test_two_hosts_are_refused(ws_url):
    """Whichever of them a proxy looked at, the service does not guess."""
    with pytest.raises(websockets.InvalidStatus) as caught:
        await websockets.connect(ws_url, additional_headers={"Host": "localhost"})
    assert caught.value.response.status_code == 400


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
async def test_a_foreign_origin_is_refused_before_the_upgrade(http, base_url, ws_url, origin):
    """403 for WebSocket and POST; a GET tells nothing that a page could read."""
    with pytest.raises(websockets.InvalidStatus) as caught:
        await websockets.connect(ws_url, origin=origin)
    assert caught.value.response.status_code == 403
    assert (await http.post(f"{base_url}/api/demo/reset", headers={"Origin": origin})).status_code == 403
    assert (await http.get(f"{base_url}/health", headers={"Origin": origin})).status_code == 200


async def test_the_own_origin_connects(connect, base_url, ws_url):
    """The service's own page is at home."""
    peer = await connect(ws_url, origin=base_url)
    await peer.send("ping")
    await peer.next("pong")


async def test_a_token_is_asked_for_over_http(http, start_service):
    """401 with the scheme that is wanted, and the token opens."""
    url = start_service("--admin-token", "secret").url
    refused = await http.post(f"{url}/api/demo/populate")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    answer = await http.post(f"{url}/api/demo/populate", headers={"Authorization": "Bearer secret"})
    assert answer.status_code == 200
