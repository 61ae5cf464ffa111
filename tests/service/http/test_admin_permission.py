"""Who may populate and reset."""

from __future__ import annotations

import pytest

from loadtest.target import http_api
from service.core.line_budget import EVERY
from service.http.admin_permission import Admin, Caller
from service.http.host_and_origin import AccessRules
from service.http.wrong_tokens import A_SECOND, AT_ONCE, MOST_ADDRESSES, WrongTokens


def refusal(
    admin: Admin,
    client: str = "127.0.0.1",
    host: str = "localhost:8000",
    token: str | None = None,
    forwarded: str | None = None,
    now: float = 0.0,
) -> int | None:
    answer = admin.refusal(Caller(client, host, token, forwarded), now)
    return answer and answer.status


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


@pytest.mark.parametrize(
    ("rules", "status"),
    [
        ({}, None), ({"allowed_hosts": ["localhost", "127.0.0.1:8000"]}, None),
        ({"allowed_origins": ["http://localhost:8888", "http://[::1]:8888"]}, None),
        ({"allowed_hosts": ["quiz.example"]}, 403), ({"allowed_hosts": ["*"]}, 403),
        ({"allowed_origins": ["https://lab.example"]}, 403), ({"allowed_hosts": ["localhost", "10.0.0.1"]}, 403),
    ],
)  # fmt: skip
def test_a_service_that_others_may_call_needs_a_token(rules: dict[str, list[str]], status: int | None):
    """A host or an origin beyond loopback is allowed for somebody else; --open-admin stays open."""
    others = AccessRules(**rules).allow_other_names
    assert refusal(Admin(has_other_names=others)) == status
    assert Admin(has_other_names=others).is_closed == (status is not None)
    assert refusal(Admin(open_to_all=True, has_other_names=others)) is None
    assert refusal(Admin("secret", has_other_names=others), token="Bearer secret") is None


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "x-forwarded-proto", "X-Forwarded-Context", "Forwarded", "X-Real-IP", "Via"]
)
async def test_a_proxy_on_this_machine_makes_a_token_necessary(http, base_url, session_id, header):
    """Any header that a proxy adds, whatever it says: the caller from loopback is the proxy, not the person."""
    url = f"{base_url}/api/demo/reset?sessionId={session_id}"
    refused = await http.post(url, headers={header: "127.0.0.1"})
    assert refused.status_code == 403
    assert header.lower() in refused.json()["detail"]
    assert "--admin-token-file" in refused.json()["detail"]
    assert (await http.post(url)).status_code == 200


def test_wrong_tokens_of_one_address_are_slowed_down(caplog):
    """Ten at once, then one in six seconds, the right one included; another address, and a call without, are not."""
    admin = Admin("secret")
    tries = [refusal(admin, client="10.0.0.9", token="Bearer wrong") for _ in range(AT_ONCE + 2)]
    assert tries == [401] * AT_ONCE + [429] * 2
    assert refusal(admin, client="10.0.0.9", token="Bearer secret") == 429
    assert refusal(admin, client="10.0.0.9") == 401
    assert refusal(admin, client="10.0.0.8", token="Bearer secret") is None
    assert refusal(admin, client="10.0.0.9", token="Bearer secret", now=1 / A_SECOND) is None
    assert refusal(admin, client="10.0.0.9", token="Bearer wrong", now=1 / A_SECOND) == 401
    assert caplog.messages == [
        "a wrong admin token from '10.0.0.9'", "too many wrong admin tokens from '10.0.0.9'"
    ]  # fmt: skip


def test_wrong_tokens_cost_one_line_of_a_kind_in_ten_seconds(caplog):
    """A flood from many addresses is counted in the next line, and no address writes more than its part."""
    admin = Admin("secret")
    for number in range(1000):
        refusal(admin, client=f"10.0.{number % 250}.{number // 250}", token="Bearer wrong", now=number / 1000)
    refusal(admin, client="\x1b[2J" * 99, token="Bearer wrong", now=EVERY)
    assert len(caplog.messages) == 2
    assert caplog.messages[1].endswith("(and 999 more since the last such line)")
    assert "\x1b" not in caplog.text
    assert len(caplog.messages[1]) < 200


def test_tries_are_counted_by_network_in_bounded_memory():
    """A household's addresses of IPv6 are one, and the address that was silent for longest is forgotten first."""
    wrong = WrongTokens()
    for number in range(AT_ONCE):
        assert wrong.take(f"2001:db8::{number}", 0.0) == 0.0
    assert wrong.take("2001:db8::ffff", 0.0) == pytest.approx(1 / A_SECOND)
    assert wrong.take("2001:db8:0:1::1", 0.0) == 0.0
    for number in range(2 * MOST_ADDRESSES):
        wrong.take(f"10.{number >> 8}.{number & 255}.1", 0.0)
        assert wrong.take("2001:db8::1", 0.0) > 0, "it was never silent"
    assert len(wrong) == MOST_ADDRESSES
    assert wrong.take("2001:db8::ffff", 0.0) > 0
    wrong.forget("2001:db8::ffff")
    assert wrong.take("2001:db8::ffff", 0.0) == 0.0


async def test_too_many_wrong_tokens_are_told_how_long_to_wait(http, start_service):
    """429 with Retry-After over HTTP, answered at once: nobody is held, so nothing is held for anybody."""
    service = start_service("--admin-token", "a token that is long enough", "--allowed-host", "quiz.example")
    url, wrong = f"{service.url}/api/demo/reset", {"Authorization": "Bearer wrong"}
    answers = [await http.post(url, headers=wrong) for _ in range(AT_ONCE + 1)]
    assert [answer.status_code for answer in answers] == [401] * AT_ONCE + [429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 1 / A_SECOND
    assert (await http.get(f"{service.url}/health")).status_code == 200
    service.stop()
    assert sum("wrong admin token" in line for line in service.log) == 2


def test_a_service_that_nobody_may_populate_says_so_at_its_start(start_service):
    """With an allowed host and no token the line names the options."""
    service = start_service("--allowed-host", "quiz.example")
    service.stop()
    assert any("Populate and Reset are refused to everybody" in line for line in service.log)


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
