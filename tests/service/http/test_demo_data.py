"""The demo's users and sessions, populate and reset."""

from __future__ import annotations

import httpx
import pytest

from service.app import create_app
from service.settings import Settings


@pytest.mark.parametrize("call", ["populate", "reset"])
async def test_wrong_sessions_are_refused_by_the_posts(http, base_url, call):
    """And nothing is created."""
    answer = await http.post(f"{base_url}/api/demo/{call}", params={"sessionId": "a b"})
    assert answer.status_code == 422


async def test_populate_sets_and_reset_clears(http, base_url, session_id):
    """Both answer with the board they leave behind."""
    url, params = f"{base_url}/api/demo", {"sessionId": session_id}
    first = (await http.post(f"{url}/populate", params=params)).json()
    again = (await http.post(f"{url}/populate", params=params)).json()
    assert first == again
    assert first["message"] == "Demo data populated"
    assert [(row["userId"], row["score"]) for row in first["leaderboard"]] == [
        ("alice", 145), ("bob", 132), ("charlie", 128), ("diana", 115), ("eve", 98), ("frank", 87)
    ]  # fmt: skip
    cleared = (await http.post(f"{url}/reset", params=params)).json()
    assert set(cleared) == {"message", "leaderboard"}
    assert cleared["message"] == "Leaderboard reset"
    assert cleared["leaderboard"] == []


async def test_populate_says_when_there_is_no_room():
    """409 and why, and the board is as it was."""
    transport = httpx.ASGITransport(create_app(Settings(max_players=5)), client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        answer = await http.post("/api/demo/populate")
        board = (await http.get("/api/leaderboard/DEMO123")).json()
    assert (answer.status_code, answer.json()) == (
        409, {"detail": "session DEMO123 is full: expected at most 5 players, got 6"}
    )  # fmt: skip
    assert board["totalPlayers"] == 0


async def test_the_posts_need_no_content_type(http, base_url, session_id):
    """A bare POST, and one with a body of any kind, are the same."""
    for content in (None, b"", b"\x00not json"):
        answer = await http.post(f"{base_url}/api/demo/reset", params={"sessionId": session_id}, content=content)
        assert answer.status_code == 200


async def test_the_demo_lists_users_and_sessions(http, connect, base_url, ws_url, session_id):
    """Six users with their looks; the sessions with their numbers."""
    peer = await connect(ws_url)
    await peer.join("zed", session_id)
    await peer.score(1)
    answer = (await http.get(f"{base_url}/api/demo")).json()
    assert [user["username"] for user in answer["availableUsers"]] == [
        "Alice", "Bob", "Charlie", "Diana", "Eve", "Frank"
    ]  # fmt: skip
    assert all(set(user) == {"id", "username", "avatar", "color"} for user in answer["availableUsers"])
    assert answer["activeSessions"][session_id] == {"id": session_id, "participants": 1, "players": 1}
