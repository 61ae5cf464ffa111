"""Health, readiness and metrics."""

from __future__ import annotations

from loadtest.target.prometheus_text import Samples


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
    await peer.board(lambda board: board["version"] == 1)
    text = (await http.get(f"{base_url}/metrics")).text
    families = {family.name for family in text_string_to_metric_families(text)}
    assert {"leaderboard_connections", "leaderboard_updates_answered", "leaderboard_fanout_seconds"} <= families
    assert "_created" not in text
    assert "worker" not in text, "one alone has no label"
    samples = Samples.parse(text)
    assert samples.value("leaderboard_update_to_board_seconds_count") >= 1
    assert samples.value("leaderboard_loop_lag_seconds_count") >= 1
