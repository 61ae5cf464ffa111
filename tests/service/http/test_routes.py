"""The HTTP calls."""

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
    assert [(row["userId"], row["score"]) for row in first["leaderboard"]] == [
        ("alice", 145), ("bob", 132), ("charlie", 128), ("diana", 115), ("eve", 98), ("frank", 87)
    ]  # fmt: skip
    cleared = (await http.post(f"{url}/reset", params=params)).json()
    assert set(cleared) == {"message", "leaderboard"}
    assert cleared["leaderboard"] == []


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


async def test_health_counts_users_and_connections(http, connect, start_service):
    """Two tabs of one user are one user; a watcher is a connection and no user."""
    service = start_service()
    for user in ("alice", "alice", "bob"):
        await (await connect(service.ws_url)).join(user)
    watcher = await connect(service.ws_url)
    await watcher.send("watch-demo")
    await watcher.board()
    health = (await http.get(f"{service.url}/health")).json()
    from service import __version__

    assert {key: health[key] for key in ("status", "storage", "connectedUsers", "activeConnections", "version")} == {
        "status": "healthy", "storage": "memory", "connectedUsers": 2, "activeConnections": 4, "version": __version__
    }  # fmt: skip
    assert (await http.get(f"{service.url}/ready")).status_code == 200


async def test_metrics_are_prometheus_text(http, connect, base_url, ws_url, session_id):
    """They count what was sent and answered."""
    from prometheus_client.parser import text_string_to_metric_families

    peer = await connect(ws_url)
    await peer.join("alice", session_id)
    await peer.score(1)
    families = {family.name for family in text_string_to_metric_families((await http.get(f"{base_url}/metrics")).text)}
    assert {"leaderboard_connections", "leaderboard_updates_answered", "leaderboard_fanout_seconds"} <= families


async def test_the_documents_describe_the_service_without_a_network(http, base_url):
    """OpenAPI, Swagger UI from this service alone, and AsyncAPI from the models."""
    openapi = (await http.get(f"{base_url}/openapi.json")).json()
    assert "/api/leaderboard/{sessionId}" in openapi["paths"]
    docs = await http.get(f"{base_url}/docs")
    assert "http://" not in docs.text
    assert "https://" not in docs.text
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert (await http.get(f"{base_url}/docs/assets/{asset}")).status_code == 200
    asyncapi = (await http.get(f"{base_url}/asyncapi.json")).json()
    assert asyncapi["asyncapi"].startswith("3.")
    assert asyncapi["components"]["schemas"]["JoinDemo"]["required"] == ["userId"]
    refs = [ref["$ref"] for ref in asyncapi["operations"]["send"]["messages"]]
    assert "#/channels/ws/messages/LeaderboardUpdate" in refs


async def test_the_page_and_its_assets_are_served(http, base_url):
    """The page is at the root, asked again each time, under a strict policy."""
    page = await http.get(f"{base_url}/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "unsafe-inline" not in page.headers["content-security-policy"]
    assert "x-frame-options" not in page.headers
    assert (await http.get(f"{base_url}/static/main.js")).status_code == 200
