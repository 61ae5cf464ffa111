"""Who is told what, and when."""

from __future__ import annotations

import asyncio
import time

from loadtest.target.prometheus_text import Samples
from service.core.session import SessionRules
from service.metrics import Metrics
from service.realtime.audience import Member
from service.realtime.hub import Hubs
from service.server.outbound import OutgoingBatch, Outlet
from service.stores.memory import MemoryStore


class TakesAll(Outlet):
    """A socket that keeps up and forgets."""

    def send(self, batch: OutgoingBatch, more: OutgoingBatch | None = None) -> None:
        pass

    def finish(self, batch: OutgoingBatch, taken: int) -> None:
        pass

    async def close(self, code) -> None:
        self.end()


async def test_many_changes_make_few_boards(connect, start_service):
    """However many updates come, at most one board leaves per tick, and it counts them all."""
    service = start_service("--tick-ms", "200", "--rate", "1000", "--burst", "1000")
    player, watcher = await connect(service.ws_url), await connect(service.ws_url)
    await watcher.send("watch-demo")
    await watcher.board()
    await player.join("alice")
    began = time.monotonic()
    for _ in range(500):
        await player.send("update-score", points=1)
    await watcher.board(lambda board: board["version"] == 500)
    boards = [data for kind, data in watcher.seen if kind == "leaderboard-update"]
    assert len(boards) <= 3 + (time.monotonic() - began) / 0.2
    assert sum(board["updates"] for board in boards) == 500


async def test_the_first_change_after_quiet_goes_out_at_once(connect, start_service):
    """A tick is a least distance, not a delay: with one of ten seconds the first board still comes now."""
    service = start_service("--tick-ms", "10000")
    player, watcher = await connect(service.ws_url), await connect(service.ws_url)
    await player.join("alice", "A")
    await watcher.send("watch-demo", sessionId="B")
    await watcher.board()
    await player.join("alice", "B")
    await watcher.next("participant-joined")


async def test_a_crowd_of_notices_is_capped(connect, start_service):
    """Ten joins of a tick are told in person, the rest as one message with the sum."""
    service = start_service("--tick-ms", "1000")
    watcher = await connect(service.ws_url)
    await watcher.send("watch-demo")
    await watcher.board()
    crowd = [await connect(service.ws_url) for _ in range(31)]
    await crowd[0].send("join-demo", userId="first")
    await watcher.next("participant-joined")
    for number, peer in enumerate(crowd[1:]):
        await peer.send("join-demo", userId=f"crowd-{number}")
    await asyncio.gather(*(peer.board() for peer in crowd[1:]))
    rest = await watcher.next("participants-changed")
    assert (rest["joined"], rest["left"], rest["totalParticipants"]) == (20, 0, 31)
    assert sum(kind == "participant-joined" for kind, _ in watcher.seen) == 11


async def test_an_overtaken_player_learns_it_unasked(connect, ws_url, session_id):
    """The plain rank update comes at most once a second, however often the rank changes, and ends true."""
    alice, bob = await connect(ws_url), await connect(ws_url)
    await alice.join("alice", session_id)
    await bob.join("bob", session_id)
    await alice.score(10)
    await bob.score(9)
    began = time.monotonic()
    points = 2
    while time.monotonic() - began < 2.2 or points == -2:
        await bob.score(points)
        points = -points
        await asyncio.sleep(0.1)  # the pace of the scores, not a wait for something
    await bob.score(2)
    await alice.settled()
    told = [data for kind, data in alice.seen if kind == "user-rank-update" and "points" not in data]
    while not told or told[-1]["rank"] != 2:
        told.append(await alice.next("user-rank-update", lambda rank: "points" not in rank))
    assert len(told) <= 2 + time.monotonic() - began


async def test_reset_and_populate_are_told_to_everyone_whose_place_changed(connect, ws_url, session_id, base_url, http):
    """The board says what happened and each player learns the own place."""
    alice, zed = await connect(ws_url), await connect(ws_url)
    await alice.join("alice", session_id)
    await zed.join("zed", session_id)
    answer = await zed.score(120)
    await zed.board(lambda board: board["version"] == answer["version"])
    assert (await http.post(f"{base_url}/api/demo/populate", params={"sessionId": session_id})).status_code == 200
    board = await zed.board(lambda board: (board["lastUpdate"] or {}).get("type") == "demo_data_populated")
    assert (board["updates"], board["totalPlayers"]) == (0, 7)
    assert (await alice.next("user-rank-update", lambda rank: rank["rank"] == 1))["score"] == 145
    assert (await zed.next("user-rank-update", lambda rank: rank["rank"] == 4))["score"] == 120
    assert (await http.post(f"{base_url}/api/demo/reset", params={"sessionId": session_id})).status_code == 200
    board = await zed.board(lambda board: (board["lastUpdate"] or {}).get("type") == "leaderboard_reset")
    assert (board["leaderboard"], board["totalPlayers"], board["totalParticipants"]) == ([], 0, 2)
    assert (await alice.next("user-rank-update", lambda rank: rank["rank"] is None))["score"] == 0


async def test_a_listed_player_who_leaves_is_shown_as_gone(connect, ws_url, session_id):
    """The board differs in presence alone: the same version, no updates, no last update."""
    alice, bob = await connect(ws_url), await connect(ws_url)
    await alice.join("alice", session_id)
    await bob.join("bob", session_id)
    answer = await bob.score(5)
    await alice.board(lambda board: board["version"] == answer["version"])
    await bob.close()
    board = await alice.board(lambda board: not board["leaderboard"][0]["isConnected"])
    assert (board["version"], board["updates"], board["oldestAt"], board["lastUpdate"]) == (
        answer["version"], 0, None, None
    )  # fmt: skip


async def test_a_board_tells_how_old_its_oldest_update_is():
    """Measured once for a board, when all have been sent it, whatever came in between."""
    metrics = Metrics()
    store = MemoryStore(epoch="e", rules=SessionRules())
    hubs = Hubs(store=store, metrics=metrics, tick=0.01, top=5)
    member = Member(TakesAll(), "alice")
    hub = hubs.enter("S", member)
    store.join("S", "alice", None, time.time())
    for age in (3.0, 2.0, 1.0):
        store.update("S", "alice", 1, None, time.time() - age, lambda _answer: None)
    async with asyncio.timeout(5):
        while not seconds_and_boards(metrics)[1]:
            await asyncio.sleep(0.01)
    seconds, boards = seconds_and_boards(metrics)
    assert (boards, 3.0 <= seconds < 10.0) == (1, True)
    store.update("S", "alice", 1, None, time.time() + 60, lambda _answer: None)
    async with asyncio.timeout(5):
        while seconds_and_boards(metrics)[1] < 2:
            await asyncio.sleep(0.01)
    assert seconds_and_boards(metrics)[0] == seconds, "another worker's clock may be ahead"
    hubs.exit(hub, member)
    await asyncio.sleep(0)


def seconds_and_boards(metrics: Metrics) -> tuple[float, float]:
    value = Samples.parse(metrics.page().decode()).value
    name = "leaderboard_update_to_board_seconds"
    return value(f"{name}_sum"), value(f"{name}_count")
