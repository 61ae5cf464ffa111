"""`--locked-players` as sockets see it: who first plays as a user is the only one who can."""

from __future__ import annotations

import json

import pytest

HERS, HIS = "secret-of-the-first", "secret-of-the-second"


@pytest.fixture
def locked(start_service) -> str:
    """The URL of a service with locked players."""
    return start_service("--locked-players").ws_url


async def refusal(peer, user: str = "alice", **more: str) -> dict[str, object]:
    await peer.send("join-demo", userId=user, sessionId="S", **more)
    return await peer.error()


async def test_a_secret_is_good_for_any_number_of_sockets(locked, connect):
    """And nobody has the user without it, whether one of them is open or none."""
    first, tab, other = [await connect(locked) for _ in range(3)]
    await first.join("alice", "S", secret=HERS)
    await tab.join("alice", "S", secret=HERS)
    assert (await first.score(5))["score"] == 5
    for wrong in ({}, {"secret": HIS}):
        assert (await refusal(other, **wrong))["code"] == "taken"
    await first.close()
    await tab.close()
    assert (await refusal(other, secret=HIS))["code"] == "taken"
    assert (await (await connect(locked)).join("alice", "S", secret=HERS))["totalPlayers"] == 1


async def test_who_is_refused_goes_on_playing(locked, connect):
    """A taken user changes nothing for whoever asked, and the text shows nobody's secret."""
    first, second = await connect(locked), await connect(locked)
    await first.join("alice", "S", secret=HERS)
    await second.join("bob", "S", secret=HIS)
    error = await refusal(second, secret=HIS)
    assert error["code"] == "taken"
    assert "alice" in error["message"]
    assert HERS not in str(error)
    assert HIS not in str(error)
    assert (await second.score(3))["userId"] == "bob"


async def test_without_a_secret_a_user_is_held_until_the_connection_ends(locked, connect):
    """Leaving, or playing as somebody else, is no end."""
    first, second = await connect(locked), await connect(locked)
    await first.join("alice", "S")
    await first.join("alice", "S", username="Al")
    await first.join("bob", "S")
    await first.send("leave-demo")
    await first.settled()
    assert (await refusal(second))["code"] == "taken"
    assert (await refusal(second, "bob", secret=HIS))["code"] == "taken"
    await first.close()
    # The service hears of the end when it hears of it.
    for user in ("alice", "bob"):
        while not await _joins(second, user):
            pass


async def _joins(peer, user: str) -> bool:
    await peer.send("join-demo", userId=user, sessionId="S")
    while True:
        kind, data = await peer.receive()
        if kind == "error":
            assert data["code"] in {"taken", "rate-limited"}
            return False
        if kind == "user-rank-update" and data["userId"] == user:
            return True


async def test_users_of_another_session_are_other_users(locked, connect):
    """A lock is of one session."""
    first, second = await connect(locked), await connect(locked)
    await first.join("alice", "S", secret=HERS)
    await second.join("alice", "T", secret=HIS)


async def test_a_join_and_a_score_in_one_go_are_taken_in_their_order(locked, connect):
    """A score that follows its join at once finds the player seated."""
    peer = await connect(locked)
    await peer.raw(json.dumps({"type": "join-demo", "data": {"userId": "alice", "sessionId": "S", "secret": HERS}}))
    assert (await peer.score(7))["score"] == 7


async def test_held_users_count_among_the_players(connect, start_service):
    """So that one socket cannot hold more of them than a session may have."""
    url = start_service("--locked-players", "--max-players", "2").ws_url
    first, second = await connect(url), await connect(url)
    for user in ("a", "b"):
        await first.join(user, "S", secret=HERS)
    await first.send("join-demo", userId="c", sessionId="S", secret=HERS)
    assert (await first.error())["code"] == "session-full"
    assert (await refusal(second, "c", secret=HIS))["code"] == "session-full"


async def test_without_the_setting_anybody_plays_as_anybody(connect, ws_url, session_id):
    """A secret is checked for its shape, and has no effect."""
    first, second = await connect(ws_url), await connect(ws_url)
    await first.join("alice", session_id, secret=HERS)
    await second.join("alice", session_id, secret=HIS)
    await second.join("alice", session_id)


@pytest.mark.parametrize("odd", ["short", "x" * 65, "with a blank in it", 5, None, "ünïcödé-ünïcödé-ü"])
async def test_an_odd_secret_is_refused_and_not_repeated(connect, ws_url, session_id, odd):
    """What was meant as a secret stays one, also where it is wrong."""
    peer = await connect(ws_url)
    await peer.send("join-demo", userId="alice", sessionId=session_id, secret=odd)
    error = await peer.error()
    assert error["code"] == "bad-message"
    assert "data.secret" in error["message"]
    assert len(str(odd)) < 5 or str(odd) not in error["message"]


async def test_no_secret_is_logged(connect, start_service):
    """Neither a right one nor a wrong one."""
    service = start_service("--locked-players")
    first, second = await connect(service.ws_url), await connect(service.ws_url)
    await first.join("alice", "S", secret=HERS)
    await refusal(second, secret=HIS)
    await second.send("join-demo", userId="alice", secret="not a secret at all")
    await second.error()
    service.stop()
    log = "\n".join(service.log)
    assert "taken" in log
    assert not [secret for secret in (HERS, HIS, "not a secret at all") if secret in log]
