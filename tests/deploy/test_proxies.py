"""The service behind nginx, HAProxy and Caddy, each with its file of docs/deploy/, and what goes wrong without a line.

nginx is in the default run as far as it costs little; `nox -s deploy` has all of it.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from cockpit.story.script import STORY, play
from deploy.conftest import PATIENCE, TOKEN, Player, Site
from deploy.proxies import CERTIFICATE, PROXIES, PUBLIC, Nginx, Proxy
from e2e.chromium_tabs import ChromiumTabs
from peer import Peer
from playwright.async_api import Browser
from websockets.exceptions import InvalidStatus, WebSocketException

pytestmark = pytest.mark.starts_process

PLAYERS = 8


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Put each proxy before the services; what goes wrong is shown with nginx."""
    if "site" in metafunc.fixturenames:
        others = [] if "trap" in metafunc.fixturenames else [name for name in PROXIES if name != "nginx"]
        kinds = ["nginx", *(pytest.param(name, marks=pytest.mark.long) for name in others)]
        metafunc.parametrize("site", kinds, indirect=True, scope="module")


async def test_everything_is_under_the_path(site: Site) -> None:
    """The page, its files, the documents and the calls are; the metrics are nobody's business."""
    for path in ("/", "/static/main.js", "/docs", "/docs/assets/swagger-ui-bundle.js", "/api/leaderboard/quiz"):
        assert (await site.ask("GET", f"/quiz{path}")).status_code == 200, path
    for path in ("/", "/quizzes", "/health", "/quiz/metrics"):
        assert (await site.ask("GET", path)).status_code == 404, path
    redirect = await site.ask("GET", "/quiz?session=a")
    assert httpx.URL(f"https://{PUBLIC}/quiz").join(redirect.headers["location"]) == (
        f"https://{PUBLIC}/quiz/?session=a"
    )
    described = (await site.ask("GET", "/quiz/asyncapi.json")).json()["servers"]["this"]
    assert described == {"host": PUBLIC, "protocol": "wss", "pathname": "/quiz"}


async def test_players_at_both_services_share_a_board(site: Site, session_id: str) -> None:
    """Newcomers are spread over the two, and each sees the other's points."""
    one, two = await site.proxy.connect(), await site.proxy.connect()
    assert await site.connections() == [1, 1]
    await one.join("alice", session_id)
    await two.join("bob", session_id)
    await one.score(5)
    await two.board(lambda board: [row["score"] for row in board["leaderboard"]] == [5])
    await one.close()
    await two.close()


async def test_a_foreign_page_is_refused(site: Site) -> None:
    """Host and Origin arrive as the browser sent them."""
    with pytest.raises(InvalidStatus) as refused:
        await site.proxy.connect(origin="https://evil.example")
    assert refused.value.response.status_code == 403


async def test_the_hosts_calls_want_the_token(site: Site, session_id: str) -> None:
    """Although to the service each caller is the proxy on loopback."""
    reset = f"/quiz/api/demo/reset?sessionId={session_id}"
    assert (await site.ask("POST", reset)).status_code == 401
    assert (await site.ask("POST", reset, Authorization=f"Bearer {TOKEN}")).status_code == 200


async def test_nobody_chooses_the_address_that_is_counted(site: Site, session_id: str) -> None:
    """The proxy puts its own knowledge in the place of what a client claims."""
    reset = f"/quiz/api/demo/reset?sessionId={session_id}"
    claims = {"X_Forwarded_For": "203.0.113.9", "X_Real_IP": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    assert (await site.ask("POST", reset, Authorization="Bearer wrong", **claims)).status_code == 401
    addresses = await until(lambda: logged(site, "refused-token"))
    assert addresses == ["127.0.0.1"]


@pytest.mark.parametrize(
    "trap", ["$host", "no Host", "no Upgrade", "no X-Forwarded-Proto", "read timeout", "few connections"]
)
async def test_what_goes_wrong_without_a_line(site: Site, tmp_path: Path, trap: str) -> None:
    """As docs/operating.md tells it."""
    change, goes_wrong = TRAPS[trap]
    with Nginx(tmp_path, ports(site), change) as proxy:
        await goes_wrong(proxy, site)


async def status_of_upgrade(proxy: Proxy) -> int:
    """What a page's WebSocket is answered, where the public name has a port of its own."""
    with pytest.raises(InvalidStatus) as refused:
        await proxy.connect(f"localhost:{proxy.port}")
    return refused.value.response.status_code


async def is_refused(proxy: Proxy, site: Site) -> None:
    assert await status_of_upgrade(proxy) == 403


async def is_no_host(proxy: Proxy, site: Site) -> None:
    assert await status_of_upgrade(proxy) == 400


async def is_not_found(proxy: Proxy, site: Site) -> None:
    assert await status_of_upgrade(proxy) == 404


async def is_described_without_tls(proxy: Proxy, site: Site) -> None:
    described = await Site(proxy, site.services, site.http).ask("GET", "/quiz/asyncapi.json")
    assert described.json()["servers"]["this"]["protocol"] == "ws"


async def is_cut(proxy: Proxy, site: Site) -> None:
    idle = await proxy.connect()
    assert await idle.close_code() is None


async def is_full(proxy: Proxy, site: Site) -> None:
    places = await asyncio.gather(*(proxy.connect() for _ in range(40)), return_exceptions=True)
    assert any(isinstance(one, OSError | EOFError | WebSocketException) for one in places)
    for one in places:
        if isinstance(one, Peer):
            await one.close()
    assert await until(lambda: has_said(proxy, "worker_connections are not enough")), proxy.log


TRAPS: dict[str, tuple[dict[str, str], Callable[[Proxy, Site], Awaitable[None]]]] = {
    "$host": ({"Host $http_host;": "Host $host;"}, is_refused),
    "no Host": ({"proxy_set_header Host $http_host;": ""}, is_no_host),
    "no Upgrade": ({"proxy_set_header Upgrade $http_upgrade;": ""}, is_not_found),
    "no X-Forwarded-Proto": ({"proxy_set_header X-Forwarded-Proto $scheme;": ""}, is_described_without_tls),
    "read timeout": ({"proxy_read_timeout 60s;": "proxy_read_timeout 1s;"}, is_cut),
    "few connections": ({"worker_connections 16384;": "worker_connections 16;"}, is_full),
}


@pytest.mark.long
async def test_the_swarm_plays_over_tls(site: Site, session_id: str, tmp_path: Path) -> None:
    """At both services, and no update, board or answer is lost; how fast it is, is not this machine's business."""
    file = tmp_path / "run"
    command = (
        *(sys.executable, "-m", "loadtest", "run", "steady", "--players", "8", "--duration", "2s", "--warm-up", "0s"),
        *("--url", site.proxy.url, "--ca-file", str(CERTIFICATE), "--session", session_id, "--out", str(file)),
    )
    swarm = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert await until(lambda: both_play(site))
    said, _ = await asyncio.wait_for(swarm.communicate(), 90)
    assert swarm.returncode in {0, 3, 4}, said.decode()
    totals = json.loads(file.read_text().splitlines()[-1])["totals"]
    assert totals["counts"]["answered"] == totals["counts"]["updates"] > 40
    assert (totals["counts"]["pairs_lost"], totals["wrong"], totals["errors"], totals["closes"]) == (0, [], {}, {})


@pytest.mark.long
@pytest.mark.browser
async def test_the_story_in_three_chromium_pages(site: Site, browser: Browser) -> None:
    """Over TLS, under the path, at two services: every claim of the story holds, and no page has an error."""
    url = f"{site.proxy.url}#admin={TOKEN}"
    async with ChromiumTabs(browser, url, ignore_https_errors=True) as tabs:
        record = await play(STORY, tabs, speed=math.inf, patience=10.0)  # pages beside other tests
        assert tabs.errors == []
    assert len(record) == len(STORY)


async def test_a_drain_of_one_of_two_loses_no_point(site: Site, session_id: str) -> None:
    """Who plays there comes back to the other with what was not answered; newcomers do not come to it at all."""
    enough = asyncio.Event()
    players = [Player(f"player-{number}", session_id) for number in range(PLAYERS)]
    async with asyncio.TaskGroup() as games:
        for player in players:
            games.create_task(player.play(site.proxy, enough))
        assert await until(lambda: all_have_scored(players))
        there, elsewhere = await site.connections()
        assert min(there, elsewhere) > 1
        await drain(site)
        counts = {player.user: len(player.answered) for player in players}
        assert await until(lambda: all_have_more(players, counts))
        enough.set()
    codes = [code for player in players for code in player.codes]
    assert codes == [1012] * there
    assert await site.scores(session_id) == {player.user: sum(player.sent.values()) for player in players}


async def drain(site: Site) -> None:
    """Take the first service out as docs/operating.md says, while everybody plays."""
    leaving = site.services[0]
    os.kill(leaving.pid, signal.SIGTERM)
    assert await until(lambda: is_draining(site))
    if not site.proxy.asks_whether_ready:
        assert 0 in await site.newcomers()
        site.proxy.take_out(0)
    assert await until(lambda: newcomers_go_elsewhere(site))
    os.kill(leaving.pid, signal.SIGTERM)  # the drain's time is over
    assert await asyncio.to_thread(leaving.process.wait, 10) == -signal.SIGTERM


async def until(ask: Callable[[], Awaitable[Any]]) -> Any:
    """The first answer that is true; the last one, when that does not come in time."""
    ends = asyncio.get_running_loop().time() + PATIENCE
    while not (answer := await ask()) and asyncio.get_running_loop().time() < ends:
        await asyncio.sleep(0.02)
    return answer


async def all_have_scored(players: list[Player]) -> bool:
    return min(len(player.answered) for player in players) >= 3


async def all_have_more(players: list[Player], counts: dict[str, int]) -> bool:
    return all(len(player.answered) > counts[player.user] + 3 for player in players)


async def has_said(proxy: Proxy, words: str) -> bool:
    return any(words in line for line in proxy.log)


async def both_play(site: Site) -> bool:
    return min(await site.connections()) > 0


async def is_draining(site: Site) -> bool:
    return (await site.http.get(f"{site.services[0].url}/ready")).status_code == 503


async def newcomers_go_elsewhere(site: Site) -> bool:
    return 0 not in await site.newcomers()


async def logged(site: Site, event: str) -> list[str]:
    """The addresses in all lines of this event."""
    lines = [json.loads(line) for service in site.services for line in service.log]
    return [line["address"] for line in lines if line["event"] == event]


def ports(site: Site) -> tuple[int, int]:
    one, two = (httpx.URL(service.url).port or 0 for service in site.services)
    return one, two
