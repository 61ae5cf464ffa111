"""Reading a board over HTTP."""

from __future__ import annotations

from datetime import datetime

import pytest


async def test_a_board_that_nobody_joined_is_empty_and_not_created(http, base_url, session_id):
    """Reading creates nothing."""
    answer = (await http.get(f"{base_url}/api/leaderboard/{session_id}")).json()
    assert (answer["sessionId"], answer["leaderboard"], answer["totalPlayers"], answer["version"]) == (
        session_id, [], 0, 0
    )  # fmt: skip
    assert datetime.fromisoformat(answer["timestamp"]).utcoffset().total_seconds() == 0
    assert session_id not in (await http.get(f"{base_url}/api/demo")).json()["activeSessions"]


async def test_pages_of_a_board(http, base_url, session_id):
    """`limit` and `offset` cut the one order."""
    await http.post(f"{base_url}/api/demo/populate", params={"sessionId": session_id})
    url = f"{base_url}/api/leaderboard/{session_id}"
    everyone = (await http.get(url)).json()["leaderboard"]
    page = (await http.get(url, params={"limit": 2, "offset": 3})).json()
    assert page["leaderboard"] == everyone[3:5]
    assert page["totalPlayers"] == 6
    assert set(page["leaderboard"][0]) == {"rank", "userId", "username", "avatar", "color", "score", "isConnected"}


async def test_a_player_with_neighbours(http, base_url, session_id):
    """The player is included, at the edge there are fewer."""
    await http.post(f"{base_url}/api/demo/populate", params={"sessionId": session_id})
    url = f"{base_url}/api/leaderboard/{session_id}/players"
    middle = (await http.get(f"{url}/charlie")).json()
    assert [row["userId"] for row in middle["around"]] == ["alice", "bob", "charlie", "diana", "eve"]
    assert (middle["player"]["rank"], middle["player"]["score"], middle["totalPlayers"]) == (3, 128, 6)
    edge = (await http.get(f"{url}/frank", params={"around": 1})).json()
    assert [row["userId"] for row in edge["around"]] == ["eve", "frank"]
    assert (await http.get(f"{url}/nobody")).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/api/leaderboard/a%20b", f"/api/leaderboard/{'x' * 65}", "/api/leaderboard/S?limit=0",
        "/api/leaderboard/S?limit=1001", "/api/leaderboard/S?limit=ten", "/api/leaderboard/S?offset=-1",
        "/api/leaderboard/S/players/a%2Fb%20", "/api/leaderboard/S/players/a?around=51",
        "/api/leaderboard/S/players/a?around=-1",
    ],
)  # fmt: skip
async def test_wrong_input_is_told_in_fastapis_shape(http, base_url, path):
    """Never a 500."""
    answer = await http.get(f"{base_url}{path}")
    assert answer.status_code in {404, 422}
    assert "detail" in answer.json()
