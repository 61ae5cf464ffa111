"""What one socket can say and hears in return, with the extension and without it."""

from __future__ import annotations

import asyncio

import pytest
from prometheus import closes


async def test_a_join_is_answered_with_the_board_and_the_own_rank(connect, ws_url, session_id):
    """The snapshot comes first, then the rank, then everyone's notice, the joiner's too."""
    peer = await connect(ws_url)
    await peer.send("join-demo", userId="alice", sessionId=session_id)
    await peer.next("participant-joined")
    kinds = [kind for kind, _ in peer.seen]
    assert kinds == ["leaderboard-update", "user-rank-update", "participant-joined"]
    board, rank, notice = (data for _, data in peer.seen)
    assert (board["updates"], board["oldestAt"], board["lastUpdate"], board["leaderboard"]) == (0, None, None, [])
    assert (board["sessionId"], board["totalPlayers"], board["totalParticipants"]) == (session_id, 0, 1)
    assert {key: rank[key] for key in ("userId", "score", "rank")} == {"userId": "alice", "score": 0, "rank": None}
    assert (rank["version"], rank["epoch"]) == (board["version"], board["epoch"])
    assert notice == {"userId": "alice", "username": "Alice", "avatar": "🦊", "totalParticipants": 1}


async def test_the_default_session_is_the_demo(connect, start_service):
    """A join without a session plays in DEMO123."""
    peer = await connect(start_service().ws_url)
    await peer.send("join-demo", userId="alice")
    assert (await peer.board())["sessionId"] == "DEMO123"


async def test_a_score_is_answered_once_and_shown_to_everyone(connect, ws_url, session_id):
    """The answer tells the version that every board from then on includes."""
    alice, watcher = await connect(ws_url), await connect(ws_url)
    await watcher.send("watch-demo", sessionId=session_id)
    await watcher.board()
    await alice.join("alice", session_id)
    answer = await alice.score(25, opId="alice-0001")
    assert {key: answer[key] for key in ("score", "rank", "opId", "points", "durable", "totalPlayers")} == {
        "score": 25, "rank": 1, "opId": "alice-0001", "points": 25, "durable": True, "totalPlayers": 1
    }  # fmt: skip
    for peer in (alice, watcher):
        board = await peer.board(lambda board: board["version"] >= answer["version"])
        assert [(row["userId"], row["score"], row["isConnected"]) for row in board["leaderboard"]] == [
            ("alice", 25, True)
        ]
        assert board["updates"] == 1
        assert board["oldestAt"] <= board["sentAt"]
        assert board["lastUpdate"] == {
            "userId": "alice", "username": "Alice", "pointsEarned": 25, "newScore": 25, "oldRank": None, "newRank": 1
        }  # fmt: skip
    answers = [data for kind, data in [*alice.seen, *await alice.settled()] if kind == "user-rank-update"]
    assert sum("points" in data for data in answers) == 1


async def test_a_repeated_op_counts_once_over_all_connections(connect, ws_url, session_id):
    """A resend after a lost connection gets the first answer's points with the present score."""
    first, second = await connect(ws_url), await connect(ws_url)
    await first.join("alice", session_id)
    await first.score(25, opId="the-same-op")
    await first.close()
    await second.join("alice", session_id)
    answer = await second.score(99, opId="the-same-op")
    assert (answer["score"], answer["points"], answer["opId"]) == (25, 25, "the-same-op")


async def test_several_tabs_are_one_participant(connect, ws_url, session_id):
    """Only the first tab joins, only the last leaves, and each tab learns the user's score."""
    watcher, one, two = await connect(ws_url), await connect(ws_url), await connect(ws_url)
    await watcher.send("watch-demo", sessionId=session_id)
    await watcher.board()
    await one.join("alice", session_id)
    snapshot = await two.join("alice", session_id)
    assert snapshot["totalParticipants"] == 1
    await one.score(10)
    rank = await two.next("user-rank-update", lambda rank: rank["score"] == 10)
    assert "points" not in rank
    await two.close()
    await one.close()
    left = await watcher.next("participant-left")
    assert left["totalParticipants"] == 0
    notices = [kind for kind, _ in watcher.seen if kind.startswith("participant")]
    assert notices == ["participant-joined", "participant-left"]


async def test_a_second_join_moves_the_player(connect, ws_url, session_id):
    """The first session is left, the second one entered, and points go to the second."""
    other = f"{session_id}-b"
    watcher, player = await connect(ws_url), await connect(ws_url)
    await watcher.send("watch-demo", sessionId=session_id)
    await player.join("alice", session_id)
    await watcher.next("participant-joined")
    await player.join("alice", other)
    assert (await watcher.next("participant-left"))["userId"] == "alice"
    await player.score(10)
    board = await player.board(lambda board: board["version"] == 1)
    assert board["sessionId"] == other
    assert not [kind for kind, _ in await watcher.settled() if kind == "leaderboard-update"]


async def test_a_second_join_may_change_the_user(connect, ws_url, session_id):
    """Within one session the old user leaves and the new one joins."""
    player = await connect(ws_url)
    await player.join("alice", session_id)
    await player.next("participant-joined")
    await player.join("bob", session_id)
    left = await player.next("participant-left")
    joined = await player.next("participant-joined")
    assert [(one["userId"], one["totalParticipants"]) for one in (left, joined)] == [("alice", 0), ("bob", 1)]


async def test_the_same_join_again_is_answered_and_is_no_leave(connect, ws_url, session_id):
    """Nobody is told of a repeated join."""
    player = await connect(ws_url)
    await player.join("alice", session_id)
    await player.next("participant-joined")
    await player.join("alice", session_id)
    assert not [kind for kind, _ in await player.settled() if kind.startswith("participant")]


async def test_a_repeated_join_under_another_name_shows_the_name(connect, ws_url, session_id):
    """A listed player's new name is on the next board, at the same version."""
    player = await connect(ws_url)
    await player.join("alice", session_id, username="Al")
    answer = await player.score(5)
    await player.board(lambda board: board["version"] == answer["version"])
    await player.send("join-demo", userId="alice", sessionId=session_id, username="Alicia")
    await player.next("user-rank-update")
    board = await player.board()
    assert (board["leaderboard"][0]["username"], board["version"], board["updates"], board["lastUpdate"]) == (
        "Alicia", answer["version"], 0, None
    )  # fmt: skip


async def test_watching_creates_nothing_and_counts_for_nothing(connect, ws_url, session_id, base_url, http):
    """The snapshot of a session that does not exist is an empty board."""
    watcher = await connect(ws_url)
    await watcher.send("watch-demo", sessionId=session_id)
    board = await watcher.board()
    assert (board["version"], board["leaderboard"], board["totalParticipants"]) == (0, [], 0)
    assert session_id not in (await http.get(f"{base_url}/api/demo")).json()["activeSessions"]
    player = await connect(ws_url)
    await player.join("alice", session_id)
    await player.score(1)
    assert (await watcher.board(lambda board: board["version"] == 1))["epoch"] != board["epoch"]


async def test_a_player_who_watches_leaves_first(connect, ws_url, session_id):
    """A watcher cannot score."""
    player = await connect(ws_url)
    await player.join("alice", session_id)
    await player.next("participant-joined")
    await player.send("watch-demo", sessionId=session_id)
    assert (await player.next("participant-left"))["totalParticipants"] == 0
    await player.send("update-score", points=1)
    assert (await player.error())["code"] == "not-joined"


async def test_leaving_is_silent_and_keeps_the_socket(connect, ws_url, session_id):
    """After it nothing of the session arrives, and the socket can join again."""
    player, other = await connect(ws_url), await connect(ws_url)
    await player.join("alice", session_id)
    await player.next("participant-joined")
    await player.send("leave-demo")
    await other.join("bob", session_id)
    await other.score(1)
    await other.board(lambda board: board["version"] == 1)
    assert await player.settled() == []
    await player.join("alice", session_id)


async def test_a_ping_is_answered_before_joining_too(connect, ws_url):
    """`t` comes back as it was sent, null when none was."""
    peer = await connect(ws_url)
    for sent, back in (({"t": 12}, 12), ({"t": 1.5}, 1.5), ({}, None), ({"t": 0}, 0)):
        await peer.send("ping", **sent)
        pong = await peer.next("pong")
        assert pong["t"] == back
        assert type(pong["t"]) is type(back)
        assert pong["serverTime"] > 1.7e12


async def test_too_many_frames_are_told_when_to_come_again(connect, ws_url, session_id):
    """A limited update has no effect, uses up no id, and goes through later."""
    peer = await connect(ws_url)
    await peer.join("alice", session_id)
    for number in range(60):
        await peer.send("update-score", points=1, opId=f"burst-{number:04}")
    limited = await peer.error()
    assert limited["code"] == "rate-limited"
    assert 0 < limited["retryAfter"] <= 0.05
    answered = {data["opId"] for kind, data in peer.seen if "opId" in data and kind == "user-rank-update"}
    assert limited["opId"] not in answered
    await asyncio.sleep(limited["retryAfter"] * 30)  # the service said how long
    answer = await peer.score(1, opId=limited["opId"])
    assert answer["opId"] == limited["opId"]


async def test_more_than_a_hundred_wrong_frames_in_a_row_end_the_connection(connect, start_service):
    """The hundred-and-first is one too many; a right one in between starts the count anew."""
    url = start_service("--rate", "100000", "--burst", "100000").ws_url
    peer = await connect(url)
    for _ in range(100):
        await peer.raw("wrong")
    await peer.send("ping")
    for _ in range(101):
        await peer.raw("wrong")
    assert await peer.close_code() == 4400
    assert sum(kind == "error" for kind, _ in peer.seen) == 201


async def test_who_does_not_slow_down_is_ended(connect, ws_url):
    """More than two hundred limited frames in ten seconds close with 4429."""
    peer = await connect(ws_url)
    for _ in range(300):
        await peer.send("ping")
    assert await peer.close_code() == 4429
    assert sum(kind == "error" and data["code"] == "rate-limited" for kind, data in peer.seen) == 201


async def test_a_full_service_says_so(connect, start_service):
    """The connection over the most is closed with 4503 and the others stay."""
    url = start_service("--max-connections", "1").ws_url
    first, second = await connect(url), await connect(url)
    assert await second.close_code() == 4503
    await first.join("alice")


async def test_a_full_session_and_too_many_sessions_are_told_apart(connect, start_service):
    """Who is refused goes on playing where they are."""
    url = start_service("--max-players", "1", "--max-sessions", "2").ws_url
    one, two = await connect(url), await connect(url)
    await one.join("alice", "A")
    await two.join("bob", "B")
    await two.send("join-demo", userId="bob", sessionId="A")
    assert (await two.error())["code"] == "session-full"
    await two.send("join-demo", userId="bob", sessionId="C")
    assert (await two.error())["code"] == "limit"
    assert (await two.score(1))["score"] == 1


async def test_new_sessions_are_bounded_by_connection_and_by_address(connect, start_service):
    """A proxy's header names the address. Who is refused plays on, may join what exists, and the default session."""
    url = start_service("--session-rate", "3", "--address-session-rate", "4").ws_url
    from_afar = {"additional_headers": {"X-Forwarded-For": "203.0.113.7"}}
    one, two, local = await connect(url, **from_afar), await connect(url, **from_afar), await connect(url)
    for session_id in "ABC":
        await one.join("alice", session_id)
    await one.send("join-demo", userId="alice", sessionId="D")
    error = await one.error()
    assert error["code"] == "limit"
    assert "3 new sessions a minute from one connection" in error["message"]
    assert 0 < error["retryAfter"] <= 60
    assert (await one.score(1))["score"] == 1
    await two.join("bob", "D")
    await two.send("join-demo", userId="bob", sessionId="E")
    assert "4 new sessions a minute from one address" in (await two.error())["message"]
    for peer in (one, two):
        await peer.join("carl", "A")
        await peer.join("carl")
    for session_id in "EFG":
        await local.join("dora", session_id)


async def test_a_session_that_somebody_watches_is_not_thrown_away(connect, start_service):
    """Joins beyond the maximum are refused until the watcher leaves, and DEMO123 has its place."""
    url = start_service("--max-sessions", "1").ws_url
    player, watcher = await connect(url), await connect(url)
    await player.join("alice", "A")
    await watcher.send("watch-demo", sessionId="A")
    await watcher.board()
    await player.join("alice")
    await player.send("join-demo", userId="alice", sessionId="B")
    assert (await player.error())["code"] == "limit"
    await watcher.send("watch-demo", sessionId="nobody-is-here")
    await watcher.board(lambda board: board["sessionId"] == "nobody-is-here")
    await player.join("alice", "B")


async def test_the_most_points_go_through_in_both_directions(connect, ws_url, session_id):
    """A million up and a million down."""
    peer = await connect(ws_url)
    await peer.join("alice", session_id)
    assert (await peer.score(1_000_000))["score"] == 1_000_000
    assert (await peer.score(-1_000_000))["score"] == 0


@pytest.mark.parametrize("ranking", ["competition", "dense"])
async def test_the_tie_rule_is_a_setting(connect, start_service, ranking):
    """1, 2, 2, 4 or 1, 2, 2, 3."""
    service = start_service("--ranking", ranking)
    for user, points in {"a": 3, "b": 2, "c": 2, "d": 1}.items():
        peer = await connect(service.ws_url)
        await peer.join(user)
        answer = await peer.score(points)
    assert answer["rank"] == {"competition": 4, "dense": 3}[ranking]
    board = await peer.board(lambda board: board["version"] == 4)
    assert [row["rank"] for row in board["leaderboard"]] == {"competition": [1, 2, 2, 4], "dense": [1, 2, 2, 3]}[
        ranking
    ]


async def test_closes_are_counted_by_who_closed_and_by_known_codes(connect, base_url, ws_url, http):
    """A client's own codes are one series, and one of ours counts as the client's where the client sent it."""
    before = await closes(http, base_url)
    for code in (*range(3000, 3020), 4408, 1000):
        await (await connect(ws_url)).socket.close(code)
    flooding = await connect(ws_url)
    for _ in range(300):
        await flooding.send("ping")
    assert await flooding.close_code() == 4429
    await counted(http, base_url, before, {("client", "other"): 20, ("client", "4408"): 1, ("server", "4429"): 1})
    assert (await closes(http, base_url)).keys() == before.keys()


@pytest.mark.extension
async def test_a_connection_that_was_cut_and_one_that_we_ended_are_told_apart(connect, shared_service, http):
    """Cut without a close frame is the client's 1006, a text that is not UTF-8 our 1007, noise our 1002."""
    url = shared_service.url
    before = await closes(http, url)
    cut, wrong, noisy = [await connect(shared_service.ws_url) for _ in range(3)]
    cut.socket.transport.abort()
    wrong.socket.transport.write(b"\x81\x82\0\0\0\0\xff\xfe")
    noisy.socket.transport.write(b"\xff" * 64)
    assert (await wrong.close_code(), await noisy.close_code()) == (1007, 1002)
    await counted(http, url, before, {("client", "1006"): 1, ("server", "1007"): 1, ("server", "1002"): 1})


async def counted(http, url, before, wanted):
    """Wait until so many more have been counted."""
    async with asyncio.timeout(10):
        while {key: (now := await closes(http, url))[key] - before[key] for key in wanted} != wanted:
            await asyncio.sleep(0.02)
    assert {key: now[key] - before[key] for key in wanted} == wanted
