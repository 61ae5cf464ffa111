"""The documents of the API."""

from __future__ import annotations

from service.core.errors import ErrorCode
from service.core.protocol import SECRET_PATTERN

OF_PLAYERS = ("rename", "hide", "show", "remove")  # calls of the host
OF_SESSIONS = ("lock", "unlock", "freeze", "reveal", "podium")


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
    schemas = asyncapi["components"]["schemas"]
    assert schemas["JoinDemo"]["required"] == ["userId"]
    assert schemas["JoinDemo"]["properties"]["secret"]["pattern"] == SECRET_PATTERN
    assert set(schemas["ErrorCode"]["enum"]) == set(ErrorCode)
    refs = [ref["$ref"] for ref in asyncapi["operations"]["send"]["messages"]]
    assert "#/channels/ws/messages/LeaderboardUpdate" in refs


async def test_every_status_of_a_call_is_described(http, base_url):
    """A client that is made from the document knows the refusals, too."""
    paths = (await http.get(f"{base_url}/openapi.json")).json()["paths"]
    statuses = {path: set(call["responses"]) for path, calls in paths.items() for call in calls.values()}
    assert statuses == {
        "/api/leaderboard/{sessionId}": {"200", "422"},
        "/api/leaderboard/{sessionId}/players/{userId}": {"200", "404", "422"},
        "/api/demo/populate": {"200", "401", "403", "409", "422", "429"},
        "/api/demo/reset": {"200", "401", "403", "422", "429"},
        "/api/demo": {"200"},
        "/api/host": {"200", "401", "403", "422", "429"},
        **{f"/api/host/{call}": {"200", "401", "403", "404", "409", "422", "429"} for call in OF_PLAYERS},
        **{f"/api/host/{call}": {"200", "401", "403", "409", "422", "429"} for call in OF_SESSIONS},
        "/api/qr": {"200", "422"},
        "/health": {"200"},
        "/ready": {"200", "503"},
        "/metrics": {"200"},
    }
