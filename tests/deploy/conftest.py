"""Two services as the unit of docs/deploy/ starts them, over one Redis, behind one of the proxies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from deploy.deploy_files import unit_options
from deploy.proxies import PROXIES, PUBLIC, TRUST, Proxy
from not_run import lacks
from peer import Peer
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from loadtest.target.processes import RedisServer, Service

TOKEN = "a-token-of-these-tests"
PACE = 0.06  # seconds between two scores of a player, below the service's default rate
PATIENCE = 20.0  # seconds until something that must happen counts as missing


class Site:
    """A proxy, and the two services behind it."""

    def __init__(self, proxy: Proxy, services: tuple[Service, Service], http: httpx.AsyncClient) -> None:
        self.proxy = proxy
        self.services = services
        self.http = http

    async def ask(self, method: str, path: str, **headers: str) -> httpx.Response:
        """A call by the public name."""
        address = f"https://127.0.0.1:{self.proxy.port}{path}"
        given = {"Host": PUBLIC, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return await self.http.request(method, address, headers=given, extensions={"sni_hostname": PUBLIC})

    async def connections(self) -> list[int]:
        """How many WebSockets each service has that still serves."""
        answers = [(await self.http.get(f"{one.url}/health")).json() for one in self.services if one.alive]
        return [answer["activeConnections"] for answer in answers]

    async def newcomers(self) -> list[int]:
        """Which service got each of four newcomers, who leave again."""
        came, places = [], []
        for _ in range(4):
            before = await self.connections()
            came.append(await self.proxy.connect())
            after = await self.connections()
            places.append(next(at for at, (old, new) in enumerate(zip(before, after, strict=True)) if new > old))
        for one in came:
            await one.close()
        return places

    async def scores(self, session: str) -> dict[str, int]:
        """The board, by the public name."""
        page = (await self.ask("GET", f"/quiz/api/leaderboard/{session}?limit=1000")).json()
        return {entry["userId"]: entry["score"] for entry in page["leaderboard"]}


class Player:
    """Scores until told to stop; comes back when its connection ends, and sends again what was not answered."""

    def __init__(self, user: str, session: str) -> None:
        self.user = user
        self.sent: dict[str, int] = {}
        self.answered: set[str] = set()
        self.codes: list[int | None] = []  # how its connections ended
        self._session = session

    async def play(self, proxy: Proxy, enough: asyncio.Event) -> None:
        while True:
            try:
                await self._play_once(proxy, enough)
            except ConnectionClosed as closed:
                self.codes.append(closed.rcvd.code if closed.rcvd is not None else None)
            except InvalidHandshake:  # the proxy found no service; it is told by its status
                self.codes.append(None)
            else:
                return

    async def _play_once(self, proxy: Proxy, enough: asyncio.Event) -> None:
        peer = await proxy.connect()
        await peer.join(self.user, self._session)
        for op_id in self.sent.keys() - self.answered:
            await self._score(peer, op_id)
        while not enough.is_set():
            op_id = f"{self.user}-{len(self.sent):05}"
            self.sent[op_id] = len(self.sent) % 7 + 1
            await self._score(peer, op_id)
            await asyncio.sleep(PACE)
        await peer.close()

    async def _score(self, peer: Peer, op_id: str) -> None:
        await peer.score(self.sent[op_id], opId=op_id)
        self.answered.add(op_id)


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    """One Redis for all services."""
    with RedisServer() as redis:
        yield redis.url


@pytest.fixture(scope="module")
async def secure_http() -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client that trusts the certificate of the tests."""
    async with httpx.AsyncClient(trust_env=False, verify=TRUST) as client:
        yield client


@pytest.fixture(scope="module")
def site(
    request: pytest.FixtureRequest,
    redis_url: str,
    secure_http: httpx.AsyncClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """The proxy that is the parameter, before services of its own; a loud skip where it is not installed."""
    kind = PROXIES[request.param]
    if kind.found() is None:
        lacks(kind.package, f"the service behind {kind.program}")
    folder = tmp_path_factory.mktemp(kind.program)
    (folder / "admin-token").write_text(TOKEN)
    with contextlib.ExitStack() as running:
        one, two = (
            running.enter_context(Service([*unit_options(0, folder), "--redis-url", redis_url])) for _ in range(2)
        )
        ports = (httpx.URL(one.url).port, httpx.URL(two.url).port)
        proxy = running.enter_context(kind(folder, (ports[0] or 0, ports[1] or 0)))
        yield Site(proxy, (one, two), secure_http)
