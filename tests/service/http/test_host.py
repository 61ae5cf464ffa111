"""The host's calls, as the room sees them."""

from __future__ import annotations

import pytest

CALLS = ("rename", "hide", "show", "remove", "lock", "unlock", "freeze", "reveal", "podium")
OF_PLAYERS = CALLS[:4]


@pytest.fixture
def host(http, base_url, session_id):
    """Make a call of the host; returns its answer."""

    async def call(what: str, user: str | None = None, status: int = 200, **more: str) -> dict:
        params = {"sessionId": session_id} | ({} if user is None else {"userId": user}) | more
        answer = await http.post(f"{base_url}/api/host/{what}", params=params)
        assert answer.status_code == status, answer.text
        return answer.json()

    return call


@pytest.fixture
async def room(connect, ws_url, session_id):
    """A player with 30 points, one with 20, and a watcher, all of whom have seen both."""
    peers = [await connect(ws_url) for _ in range(3)]
    await peers[0].join("ann", session_id, username="Ann")
    await peers[1].join("bob", session_id, username="Bob")
    await peers[2].send("watch-demo", sessionId=session_id)
    await peers[0].score(30)
    await peers[1].score(20)
    for peer in peers:
        await peer.board(lambda board: [row["score"] for row in board["leaderboard"]] == [30, 20])
    return peers


def rows(board: dict) -> list[tuple[int, str]]:
    return [(row["rank"], row["username"]) for row in board["leaderboard"]]


def boards(seen: list[tuple[str, dict]]) -> list[dict]:
    return [data for kind, data in seen if kind == "leaderboard-update"]


async def test_a_rename_is_on_every_board_and_stays(room, host, session_id, connect, ws_url):
    """Whatever name a later join gives."""
    answer = await host("rename", "bob", username="Robert")
    assert answer["names"] == {"bob": "Robert"}
    for peer in room:
        assert rows(await peer.board()) == [(1, "Ann"), (2, "Robert")]
    snapshot = await (await connect(ws_url)).join("bob", session_id, username="Rude")
    assert rows(snapshot) == [(1, "Ann"), (2, "Robert")]


async def test_a_hidden_player_plays_on_unranked(room, host):
    """The others move up, nobody is told what the hidden player scores, and `show` brings everything back."""
    ann, bob, watcher = room
    await host("hide", "ann")
    for peer in (bob, watcher):
        assert rows(await peer.board()) == [(1, "Bob")]
    answer = await ann.score(5)
    assert (answer["score"], answer["rank"]) == (35, None)
    board = await watcher.board()
    assert (rows(board), board["updates"], board["lastUpdate"]) == ([(1, "Bob")], 1, None)
    assert (await host("show", "ann"))["hidden"] == []
    assert rows(await watcher.board()) == [(1, "Ann"), (2, "Bob")]


async def test_a_removed_player_only_watches(room, host, connect, ws_url, session_id):
    """Its sockets are told and see the boards; what they score is refused, and so is a join as that user."""
    ann, bob, watcher = room
    tab = await connect(ws_url)
    await tab.join("bob", session_id)
    assert (await host("remove", "bob"))["removed"] == ["bob"]
    for peer in (bob, tab):
        assert (await peer.error())["code"] == "removed"
        assert rows(await peer.board()) == [(1, "Ann")]
        await peer.send("update-score", points=5)
        assert (await peer.error())["code"] == "not-joined"
    assert rows(await watcher.board()) == [(1, "Ann")]
    await (other := await connect(ws_url)).send("join-demo", userId="bob", sessionId=session_id)
    assert (await other.error())["code"] == "removed"
    await ann.score(1)
    assert rows(await bob.board()) == [(1, "Ann")]
    await host("show", "bob")
    assert rows(await other.join("bob", session_id)) == [(1, "Ann"), (2, "Bob")]


async def test_a_locked_session_takes_nobody_new(room, host, connect, ws_url, session_id):
    """Who has joined comes back freely, and everybody is told the stage."""
    ann, bob, watcher = room
    await bob.close()
    await watcher.next("participant-left")
    assert (await host("lock"))["locked"]
    stage = {"sessionId": session_id, "locked": True, "frozen": False, "podium": False}
    for peer in (ann, watcher):
        assert await peer.next("session-stage") == stage
    await (stranger := await connect(ws_url)).send("join-demo", userId="new", sessionId=session_id)
    refusal = await stranger.error()
    assert refusal["code"] == "session-full"
    assert "locked" in refusal["message"]
    back = await connect(ws_url)
    await back.join("bob", session_id)
    assert ("session-stage", stage) in back.seen
    await host("unlock")
    assert not (await ann.next("session-stage"))["locked"]
    await stranger.join("new", session_id)


async def test_a_frozen_board_is_revealed_in_one_frame(room, host, connect, ws_url, session_id):
    """No board goes out, answers do; who comes is shown the frozen one, with its own version."""
    ann, bob, watcher = room
    frozen_at = (await host("freeze"), boards(watcher.seen)[-1]["version"])[1]
    assert (await watcher.next("session-stage"))["frozen"]
    for points in range(1, 6):
        assert (await bob.score(points))["durable"]
    late = await connect(ws_url)
    snapshot = await late.join("cy", session_id)
    assert (rows(snapshot), snapshot["version"]) == ([(1, "Ann"), (2, "Bob")], frozen_at)
    assert ("session-stage" in dict(await late.settled())) or ("session-stage" in dict(late.seen))
    await late.score(100)
    assert boards(await watcher.settled()) == []
    await host("freeze")  # once more changes nothing
    await host("reveal")
    board = await watcher.board()
    assert (rows(board), board["version"], board["updates"]) == ([(1, "cy"), (2, "Bob"), (3, "Ann")], frozen_at + 6, 6)
    assert boards(await watcher.settled()) == []
    await ann.score(1)
    await watcher.board(lambda one: one["version"] == frozen_at + 7)


async def test_a_name_that_is_taken_off_is_off_the_frozen_board(room, host, connect, ws_url, session_id):
    """A frozen board is kept from phones that come, but not a rude name on it."""
    await host("freeze")
    await host("hide", "ann")
    await host("rename", "bob", username="Robert")
    snapshot = await (await connect(ws_url)).join("dan", session_id)
    assert [row["username"] for row in snapshot["leaderboard"]] == ["Robert"]


async def test_the_podium_ends_the_show(room, host, session_id):
    """With the board revealed; `reveal` goes on from there."""
    watcher = room[2]
    await host("freeze")
    await watcher.next("session-stage")
    assert (await host("podium"))["podium"]
    stage = await watcher.next("session-stage")
    assert stage == {"sessionId": session_id, "locked": False, "frozen": False, "podium": True}
    assert rows(await watcher.board()) == [(1, "Ann"), (2, "Bob")]
    assert not (await host("reveal"))["podium"]


@pytest.mark.parametrize("call", CALLS)
async def test_wrong_calls_say_what_was_expected(http, base_url, session_id, call, host):
    """A session or user that is none is 422; a user who was never there 404; and nothing comes into being."""
    given = {"username": "X"} if call == "rename" else {}
    for params in (
        {"sessionId": "a b", "userId": "u"} | given,
        *([{"userId": "ü"} | given] if call in OF_PLAYERS else []),
    ):
        assert (await http.post(f"{base_url}/api/host/{call}", params=params)).status_code == 422
    if call in OF_PLAYERS:
        assert (await host(call, status=422))["detail"]
        assert "expected somebody who was in" in (await host(call, "nobody", 404, **given))["detail"]
    sessions = (await http.get(f"{base_url}/api/demo")).json()["activeSessions"]
    assert session_id not in sessions


@pytest.mark.parametrize("name", ["", " ", "x" * 33, "a\u202eb", "a\nb"])
async def test_an_odd_name_is_refused(room, host, name):
    """As a join with it would be."""
    await host("rename", "ann", 422, username=name)


@pytest.mark.parametrize("call", CALLS)
async def test_the_calls_are_for_admins(start_service, http, call):
    """As populate and reset are."""
    url = start_service("--admin-token", "of this test, which is long").url
    answer = await http.post(f"{url}/api/host/{call}", params={"userId": "u", "username": "x"})
    assert answer.status_code == 401
    assert (await http.get(f"{url}/api/host")).status_code == 401
