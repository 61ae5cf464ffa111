"""The notebook's client against the real service, and against a small server that misbehaves on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from cockpit.host.websocket_client import LeaderboardClient, ScoreRefused, Stopped
from websockets.asyncio.server import ServerConnection, serve

from loadtest.target.processes import Service
from loadtest.transport.reconnect import TOO_FAST, wait_before

BOARD = {
    "version": 1, "updates": 0, "epoch": "e", "sentAt": 0, "oldestAt": None, "sessionId": "DEMO123",
    "leaderboard": [], "totalPlayers": 0, "totalParticipants": 0, "lastUpdate": None, "degraded": False,
}  # fmt: skip


@contextlib.asynccontextmanager
async def running(client: LeaderboardClient) -> AsyncIterator[LeaderboardClient]:
    task = asyncio.create_task(client.run())
    try:
        yield client
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def server(handler: Callable[[ServerConnection], Awaitable[None]]) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}/ws"


class Board:
    """The last board a client got, and the states of its connection."""

    def __init__(self) -> None:
        self.scores: dict[str, int] = {}
        self.states: list[str] = []

    def frame(self, kind: str, data: dict, at: float) -> None:
        if kind == "leaderboard-update":
            self.scores = {entry["userId"]: entry["score"] for entry in data["leaderboard"]}

    def connection(self, state: str) -> None:
        self.states.append(state)


async def test_plays_and_gets_an_answer(shared_service: Service, session_id: str) -> None:
    """A joined client's score is answered with total, rank and version, and is on its board."""
    board = Board()
    async with (
        asyncio.timeout(10),
        running(LeaderboardClient(shared_service.ws_url, session_id, on_frame=board.frame)) as client,
    ):
        await client.join("alice")
        assert (await client.score(25)).score == 25
        answer = await client.score(10)
        while board.scores != {"alice": 35}:
            await asyncio.sleep(0.01)
    assert (answer.points, answer.score, answer.rank, answer.durable) == (10, 35, 1, True)
    assert answer.at >= answer.sent_at


async def test_measures_the_service_s_clock(shared_service: Service, session_id: str) -> None:
    """On one machine the offset between the clocks comes out as nothing, give or take half a round trip."""
    async with asyncio.timeout(10), running(LeaderboardClient(shared_service.ws_url, session_id)) as client:
        await client.live()
        while client.round_trip is None:
            await asyncio.sleep(0.01)
    assert client.round_trip > 0
    assert abs(client.clock_offset) <= client.round_trip / 2 + 0.002  # milliseconds of `serverTime` are rounded


async def test_comes_back_after_a_fault_and_loses_no_score(shared_service: Service, session_id: str) -> None:
    """A score made while the connection is down counts once, after the client is back as the same player."""
    board = Board()
    client = LeaderboardClient(
        shared_service.ws_url, session_id, on_frame=board.frame, on_connection=board.connection, rng=random.Random(1)
    )
    async with asyncio.timeout(20), running(client):
        await client.join("alice")
        await client.score(25)
        client.drop()
        assert (await client.score(50)).score == 75
        await client.live()
    assert board.states == ["live", "waiting", "connecting", "live", "stopped"]


async def test_is_refused_in_words(shared_service: Service, session_id: str) -> None:
    """An error that names the score's opId is the score's exception; the client goes on."""
    async with asyncio.timeout(10), running(LeaderboardClient(shared_service.ws_url, session_id)) as client:
        await client.live()
        with pytest.raises(ScoreRefused, match="not-joined"):
            await client.score(25)
        await client.join("alice")
        with pytest.raises(ScoreRefused, match="bad-message"):
            await client.score(10_000_000)
        assert (await client.score(25)).score == 25


async def test_waits_for_a_service_that_comes_later(start_service: Callable[..., Service]) -> None:
    """A client that is there first is live as soon as the service is, and after its restart on the same port."""
    first = start_service()
    port = int(first.url.rsplit(":", 1)[1].rstrip("/"))
    async with asyncio.timeout(30), running(LeaderboardClient(first.ws_url, rng=random.Random(2))) as client:
        await client.join("bob")
        await client.live()
        await asyncio.to_thread(first.stop)
        await asyncio.to_thread(start_service, port=port)
        assert (await client.score(5)).score == 5


async def test_resends_an_unanswered_score_with_the_same_op_id() -> None:
    """When the connection ends between score and answer, the next one carries the same opId and hello comes first."""
    got: list[tuple[str, dict]] = []

    async def lose_the_first_answer(socket: ServerConnection) -> None:
        async for text in socket:
            frame = json.loads(text)
            if frame["type"] == "ping":
                continue
            got.append((frame["type"], frame["data"]))
            if frame["type"] == "join-demo":
                await socket.send(json.dumps({"type": "leaderboard-update", "data": BOARD}))
            elif sum(kind == "update-score" for kind, _ in got) == 1:
                socket.transport.abort()
            else:
                answer = {"userId": "alice", "score": 25, "rank": 1, "version": 1, "epoch": "e", "points": 25,
                          "durable": True, "opId": frame["data"]["opId"], "totalPlayers": 1}  # fmt: skip
                await socket.send(json.dumps({"type": "user-rank-update", "data": answer}))

    async with asyncio.timeout(20), server(lose_the_first_answer) as url:
        client = LeaderboardClient(url, rng=random.Random(3))
        client.user = "alice"
        async with running(client):
            await client.live()
            assert (await client.score(25)).score == 25
    assert [kind for kind, _ in got] == ["join-demo", "update-score", "join-demo", "update-score"]
    assert got[1] == got[3]


async def test_a_second_answer_disturbs_nothing() -> None:
    """An answer that is not durable yet is the score's; the durable one that follows is heard, also behind the next."""
    heard: list[tuple[int, bool]] = []
    op_ids: list[str] = []

    def hear(kind: str, data: dict, at: float) -> None:
        if kind == "user-rank-update":
            heard.append((data["points"], data["durable"]))

    async def answer_twice(socket: ServerConnection) -> None:
        async def answer(op_id: str, points: int, epoch: str, *, durable: bool) -> None:
            data = {"userId": "alice", "score": 25, "rank": 1, "version": 1, "epoch": epoch, "points": points,
                    "durable": durable, "opId": op_id, "totalPlayers": 1}  # fmt: skip
            await socket.send(json.dumps({"type": "user-rank-update", "data": data}))

        async for text in socket:
            frame = json.loads(text)
            if frame["type"] == "join-demo":
                await socket.send(json.dumps({"type": "leaderboard-update", "data": BOARD}))
            elif frame["type"] == "update-score":
                op_ids.append(frame["data"]["opId"])
                await answer(op_ids[-1], frame["data"]["points"], "e~1", durable=False)
                if len(op_ids) == 2:
                    await answer(op_ids[0], 10, "f", durable=True)
                    await answer(op_ids[1], 15, "f", durable=True)

    async with asyncio.timeout(20), server(answer_twice) as url:
        client = LeaderboardClient(url, on_frame=hear)
        client.user = "alice"
        async with running(client):
            await client.live()
            first, second = await client.score(10), await client.score(15)
            while len(heard) < 4:
                await asyncio.sleep(0.01)
    assert [(answer.points, answer.epoch, answer.durable) for answer in (first, second)] == [
        (10, "e~1", False),
        (15, "e~1", False),
    ]
    assert heard == [(10, False), (15, False), (10, True), (15, True)]


@pytest.mark.parametrize("code", [4400, 4403])
async def test_does_not_come_back_where_it_is_not_wanted(code: int) -> None:
    """A close code that forbids a retry ends the client with the reason in words, after one connection."""
    connections = 0

    async def refuse(socket: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        await socket.close(code)

    async with asyncio.timeout(10), server(refuse) as url:
        client = LeaderboardClient(url)
        with pytest.raises(Stopped, match=str(code)):
            await client.run()
    assert connections == 1
    assert client.connection == "stopped"


def test_waits_longer_with_each_try_and_never_in_step() -> None:
    """The wait is anywhere below a bound that doubles from 0.5 to 10 s; who was too fast waits 5 s more."""
    rng = random.Random(4)
    for attempt, bound in ((0, 0.5), (1, 1.0), (2, 2.0), (4, 8.0), (5, 10.0), (1000, 10.0)):
        waits = [wait_before(attempt, None, rng) for _ in range(400)]
        assert 0 <= min(waits) < 0.05 * bound
        assert 0.95 * bound < max(waits) <= bound
    assert wait_before(0, TOO_FAST, rng) >= 5.0
