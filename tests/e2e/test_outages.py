"""A service that ends, and a Redis that goes away, in the middle of a game: no point is lost."""

from __future__ import annotations

import asyncio
import itertools
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from peer import Peer
from websockets.exceptions import ConnectionClosed

from loadtest.target import http_api
from loadtest.target.processes import RedisServer, Service

LOG = Path(__file__).parents[2] / "loadtest" / "data" / "quiz_night.csv"
FAST = ("--rate", "100000", "--burst", "100000")
PLAYERS = 20


@pytest.fixture
def start_over(
    start_service: Callable[..., Service], start_redis: Callable[..., RedisServer]
) -> Callable[..., Service]:
    """Start services over one Redis."""
    url = start_redis().url
    return lambda *arguments: start_service("--redis-url", url, *FAST, *arguments)


class Player:
    """One who scores as fast as answers come, until the connection ends; and what came of it."""

    def __init__(self, number: int) -> None:
        self.user = f"player-{number:02}"
        self.sent: dict[str, int] = {}
        self.durable: set[str] = set()
        self.code: int | None = None

    async def play(self, url: str) -> None:
        peer = await Peer.connect(url)
        await peer.join(self.user)
        try:
            for number in itertools.count():
                op_id = f"{self.user}-{number}"
                self.sent[op_id] = number % 7 + 1
                answer = await peer.score(self.sent[op_id], opId=op_id)
                if answer["durable"]:
                    self.durable.add(answer["opId"])
        except ConnectionClosed as closed:
            self.code = closed.rcvd.code if closed.rcvd is not None else None

    async def finish(self, url: str) -> None:
        """Send again what was not answered, as a client has to."""
        peer = await Peer.connect(url)
        await peer.join(self.user)
        for op_id in self.sent.keys() - self.durable:
            await peer.score(self.sent[op_id], opId=op_id)
            self.durable.add(op_id)
        await peer.close()


def scores(service: Service) -> dict[str, int]:
    page = httpx.get(f"{service.url}/api/leaderboard/DEMO123", params={"limit": 1000}, trust_env=False).json()
    return {entry["userId"]: entry["score"] for entry in page["leaderboard"]}


async def play_until_all_have_scored(players: list[Player], service: Service) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(player.play(service.ws_url)) for player in players]
    async with asyncio.timeout(20):
        while min(len(player.durable) for player in players) < 20:
            await asyncio.sleep(0.01)
    return tasks


async def test_an_absence_of_redis_is_visible_from_outside(start_service, start_redis):
    """In boards, answers, /health and the metrics; and so is its end."""
    redis = start_redis()
    service = start_service("--redis-url", redis.url)
    peer = await Peer.connect(service.ws_url)
    await peer.join("alice")
    assert (await peer.score(1))["durable"]
    redis.stop(save=False)
    assert (await peer.next("leaderboard-update", lambda board: board["degraded"]))["epoch"]
    answer = await peer.score(2, opId="op-00001")
    assert (answer["durable"], "~" in answer["epoch"]) == (False, True)
    assert status(service) == ("degraded", 200)
    count = http_api.metrics(service.url).value
    assert (count("leaderboard_degraded"), count("leaderboard_redis_queue")) == (1, 1)
    back = time.monotonic()
    redis.start()
    second = await peer.next("user-rank-update", lambda rank: rank.get("opId") == "op-00001")
    assert (second["durable"], "~" in second["epoch"], second["score"]) == (True, False, 3)
    board = await peer.next("leaderboard-update", lambda board: not board["degraded"])
    assert board["epoch"] == second["epoch"]
    assert status(service) == ("healthy", 200)
    count = http_api.metrics(service.url).value
    assert (count("leaderboard_degraded"), count("leaderboard_redis_queue")) == (0, 0)
    # Redis came back empty, so that a row had to be put back.
    assert count("leaderboard_redis_restores_total") >= 1
    assert count("leaderboard_redis_batches_total") >= 2
    assert count("leaderboard_redis_seen_seconds") < time.monotonic() - back
    await peer.close()


def status(service: Service) -> tuple[str, int]:
    health = httpx.get(f"{service.url}/health", trust_env=False).json()["status"]
    return health, httpx.get(f"{service.url}/ready", trust_env=False).status_code


async def test_a_stop_in_full_play_loses_no_answered_point(start_over):
    """Everybody who reads hears 1012, and who does not read holds up nothing."""
    one, two = start_over("--top", "1000"), start_over()
    deaf = await Peer.connect(one.ws_url, max_queue=1)
    await deaf.send("watch-demo")
    deaf.socket.transport.pause_reading()
    players = [Player(number) for number in range(PLAYERS)]
    tasks = await play_until_all_have_scored(players, one)
    one.process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(one.process.wait, 30)
    await asyncio.gather(*tasks)
    deaf.socket.transport.abort()
    assert {player.code for player in players} == {1012}
    kept = scores(two)
    for player in players:
        acknowledged = sum(player.sent[op_id] for op_id in player.durable)
        assert acknowledged <= kept[player.user] <= sum(player.sent.values())
    await asyncio.gather(*(player.finish(two.ws_url) for player in players))
    assert scores(two) == {player.user: sum(player.sent.values()) for player in players}


async def test_a_killed_worker_loses_no_durable_answer_and_its_players_are_gone(start_over):
    """A retry counts once, as what was applied unanswered is known by its id; who does not return is gone."""
    one, two = start_over(), start_over()
    watcher = await Peer.connect(two.ws_url)
    await watcher.send("watch-demo")
    leaver = await Peer.connect(one.ws_url)
    await leaver.join("alice")
    await watcher.next("participant-joined", lambda who: who["userId"] == "alice")
    players = [Player(number) for number in range(PLAYERS)]
    tasks = await play_until_all_have_scored(players, one)
    one.process.kill()
    gone = asyncio.create_task(watcher.next("participant-left", lambda who: who["userId"] == "alice", timeout=60))
    await asyncio.gather(*tasks)
    await asyncio.gather(*(player.finish(two.ws_url) for player in players))
    assert scores(two) == {player.user: sum(player.sent.values()) for player in players}
    await gone
    await watcher.close()


@pytest.mark.wide("test_a_stop_in_full_play_loses_no_answered_point")
async def test_a_replay_matches_although_redis_restarts_twice(start_service, start_redis):
    """Over three workers, compared with a plain fold of the log."""
    redis = start_redis()
    service = start_service("--redis-url", redis.url, "--workers", "3", *FAST)
    replay = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtest", "replay", str(LOG)),
        *("--speed", "60", "--url", service.url, "--session", "NIGHT"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with httpx.AsyncClient(trust_env=False) as http:
        for share in (0.3, 0.6):
            await _until_played(http, service, share)
            await asyncio.to_thread(redis.stop, save=False)
            await asyncio.to_thread(redis.start)
    output, _ = await replay.communicate()
    assert output.decode().strip().splitlines()[-1] == "matches 60/60"
    assert replay.returncode == 0


async def _until_played(http: httpx.AsyncClient, service: Service, share: float) -> None:
    points = sum(int(line.rsplit(",", 1)[1]) for line in LOG.read_text(encoding="utf-8").splitlines()[1:])
    async with asyncio.timeout(60):
        while True:
            page = (await http.get(f"{service.url}/api/leaderboard/NIGHT", params={"limit": 1000})).json()
            if sum(entry["score"] for entry in page["leaderboard"]) > share * points:
                return
            await asyncio.sleep(0.02)
