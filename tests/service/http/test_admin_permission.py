"""Who may populate and reset."""

from __future__ import annotations

import pytest

from loadtest.target import http_api
from service.http.admin_permission import Admin


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


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
def test_the_scheme_is_written_in_any_case(scheme: str):
    """RFC 9110, section 11.1; clients differ."""
    assert refusal(Admin("secret"), token=f"{scheme} secret") is None


@pytest.mark.parametrize("sent", ["Basic secret", "secret", "Bearer", "Bearer ", "Bearersecret", "Bearer secret x"])
def test_what_is_no_bearer_token_is_refused(sent: str):
    """Another scheme, no scheme, no token, two tokens."""
    assert refusal(Admin("secret"), token=sent) == 401


def test_a_token_is_utf8():
    """Its bytes come as Latin-1 characters, as ASGI headers do."""
    admin = Admin("sésame 🔑")
    assert refusal(admin, token="Bearer " + "sésame 🔑".encode().decode("latin-1")) is None
    assert refusal(admin, token="Bearer sésame") == 401


async def test_a_token_from_a_file_is_asked_for_over_http(http, start_service, tmp_path):
    """401 with the scheme that is wanted, and the token opens; the log says that it is short."""
    (tmp_path / "token").write_text("sésame 🔑\n", "utf-8")
    service = start_service("--admin-token-file", str(tmp_path / "token"))
    url = service.url
    refused = await http.post(f"{url}/api/demo/populate")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    answer = await http.post(f"{url}/api/demo/populate", headers={"Authorization": "bearer sésame 🔑".encode()})
    assert answer.status_code == 200
    http_api.reset(url, "DEMO123", "sésame 🔑")
    service.stop()
    assert any("expected 16 characters or more" in line for line in service.log)
    assert not any("sésame" in line for line in service.log)
