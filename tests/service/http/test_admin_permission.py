"""Who may populate and reset."""

from __future__ import annotations

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


async def test_a_token_is_asked_for_over_http(http, start_service):
    """401 with the scheme that is wanted, and the token opens."""
    url = start_service("--admin-token", "secret").url
    refused = await http.post(f"{url}/api/demo/populate")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    answer = await http.post(f"{url}/api/demo/populate", headers={"Authorization": "Bearer secret"})
    assert answer.status_code == 200
