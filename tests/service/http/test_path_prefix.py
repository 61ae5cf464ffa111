"""The service behind a path prefix, whether its proxy takes the prefix off, leaves it, or names it in a header."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from loadtest.target.processes import Service
from service.app import create_app
from service.http.path_prefix import TrustedProxies
from service.settings import BadSetting, Settings

AT = "http://quiz.example"  # what the browser asks


async def answer(
    path: str, *, prefix: str = "", header: str = "", uvicorn: str = "", client: tuple[str, int] = ("127.0.0.1", 5)
) -> httpx.Response:
    """What the app answers; `prefix` is its setting, `uvicorn` the option of that name of the server."""
    app = create_app(Settings(root_path=prefix, allowed_host=("quiz.example",)))
    transport = httpx.ASGITransport(app, root_path=uvicorn, client=client)
    async with httpx.AsyncClient(transport=transport) as asking:
        return await asking.get(AT + path, headers={"X-Forwarded-Prefix": header.encode()} if header else {})


WAYS: list[dict[str, Any]] = [{}, {"prefix": "/quiz"}, {"prefix": "/a/quiz-2"}, {"header": "/quiz/"}]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("left", [False, True], ids=["taken off", "left"])
async def test_everything_is_found(way: dict[str, Any], left: bool) -> None:
    """The page and its files, the documents and their files, the calls."""
    prefix = str(way.get("prefix") or way.get("header") or "").rstrip("/") if left else ""
    for path in (
        "/", "/static/main.js", "/docs", "/docs/assets/swagger-ui.css", "/openapi.json", "/asyncapi.json", "/health",
        "/api/leaderboard/quiz",
    ):  # fmt: skip
        assert (await answer(prefix + path, **way)).status_code == 200, path


async def test_the_option_of_uvicorn_is_a_prefix_too() -> None:
    """`uvicorn --root-path /quiz` puts it before each path; a proxy that left it makes it stand there twice."""
    for path in ("/quiz/docs", "/quiz/quiz/docs", "/quiz/static/main.js", "/quiz/quiz/static/main.js"):
        assert (await answer(path, uvicorn="/quiz")).status_code == 200, path


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize(
    ("path", "to"),
    [
        ("/docs/", "/docs"), ("/static?v=1", "/static/?v=1"),
        ("/api/leaderboard/a.b/?limit=5&offset=1", "/api/leaderboard/a.b?limit=5&offset=1"),
    ],
)  # fmt: skip
async def test_a_redirect_stays_under_the_prefix(way: dict[str, Any], path: str, to: str) -> None:
    """Of whatever proxy the browser asks, because it is relative."""
    redirect = await answer(path, **way)
    assert redirect.status_code == 307
    for public in ("https://elsewhere.example", "https://elsewhere.example/some/where"):
        assert urljoin(public + path, redirect.headers["location"]) == public + to


async def test_the_prefix_alone_leads_to_the_page() -> None:
    """With the slash that the page's own links need."""
    redirect = await answer("/quiz?session=a", prefix="/quiz")
    assert redirect.status_code == 307
    assert urljoin("https://quiz.example/quiz?session=a", redirect.headers["location"]) == (
        "https://quiz.example/quiz/?session=a"
    )


@pytest.mark.parametrize("path", ["/quizzes", "/qui", "/other/docs"])
async def test_another_path_is_not_under_the_prefix(path: str) -> None:
    """Whole segments count."""
    assert (await answer(path, prefix="/quiz")).status_code == 404


@pytest.mark.parametrize(
    ("way", "prefix"), [({}, None), ({"prefix": "/quiz"}, "/quiz"), ({"header": "/quiz"}, "/quiz")], ids=str
)
async def test_asyncapi_says_where_the_websocket_is(way: dict[str, Any], prefix: str | None) -> None:
    """The host that was called, and the prefix."""
    server = (await answer("/asyncapi.json", **way)).json()["servers"]["this"]
    assert server == {"host": "quiz.example", "protocol": "ws"} | ({} if prefix is None else {"pathname": prefix})


@pytest.mark.parametrize(
    "header", ["//evil.example", "/a//b", "/../b", "/.", "/a b", "a", "https://evil.example", "/ä"]
)
async def test_a_header_that_is_no_path_is_ignored(header: str) -> None:
    """Whoever sent it."""
    server = (await answer("/asyncapi.json", header=header)).json()["servers"]["this"]
    assert "pathname" not in server


async def test_a_header_counts_only_from_a_trusted_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same ones whose `X-Forwarded-For` the server believes; the setting comes before all of them."""
    for client, trusted in ((("10.0.0.9", 5), False), (("10.0.0.9", 0), True), (("::1", 5), True)):
        server = (await answer("/asyncapi.json", header="/quiz", client=client)).json()["servers"]["this"]
        assert ("pathname" in server) is trusted, client
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.0.0.0/8")
    server = (await answer("/asyncapi.json", header="/quiz", client=("10.0.0.9", 5))).json()["servers"]["this"]
    assert server["pathname"] == "/quiz"
    server = (await answer("/asyncapi.json", header="/quiz", prefix="/own")).json()["servers"]["this"]
    assert server["pathname"] == "/own"


def test_proxies_are_written_as_for_uvicorn() -> None:
    """Addresses, networks, all; what is neither is nobody."""
    assert TrustedProxies("*").sent({"client": None})
    assert TrustedProxies("10.0.0.1, ::1").sent({"client": ("::1", 1)})
    assert not TrustedProxies("10.0.0.1, /run/proxy.sock").sent({"client": ("10.0.0.2", 1)})
    assert not TrustedProxies("").sent({"client": None})


@pytest.mark.parametrize("path", ["quiz", "https://a/b", "/a b", "/a/../b", "//a", "/a?b"])
def test_a_prefix_that_is_no_path_is_refused(path: str) -> None:
    """At the start."""
    with pytest.raises(BadSetting, match="--root-path: expected a path like /quiz"):
        Settings.read(root_path=path)


async def test_a_service_under_a_prefix_plays(http: httpx.AsyncClient, connect: Any, start_service: Any) -> None:
    """Over a real server, with the prefix left in the path; uvicorn trusts the same proxies."""
    service: Service = start_service("--root-path", "/quiz/")
    for prefix in ("", "/quiz"):
        peer = await connect(f"ws{service.url.removeprefix('http')}{prefix}/ws")
        await peer.send("ping")
        await peer.next("pong")
    answer = await http.get(
        f"{service.url}/asyncapi.json", headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": "10.0.0.9"}
    )
    assert answer.json()["servers"]["this"]["protocol"] == "wss"
