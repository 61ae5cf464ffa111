"""The documents of the API: Swagger UI for the HTTP calls, and AsyncAPI for the WebSocket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import swagger_ui_bundle
from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from service.http.asyncapi import describe, server

SWAGGER = Path(swagger_ui_bundle.swagger_ui_path)

# Swagger UI sets styles by script and starts from an inline one; that holds for this page alone.
_DOCS_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)


async def asyncapi(request: Request) -> dict[str, Any]:
    """What is said on `/ws`, and where."""
    secure, prefix = request.url.scheme == "https", request.scope.get("root_path", "")
    return describe() | {"servers": {"this": server(request.headers["host"], secure=secure, prefix=prefix)}}


async def docs() -> HTMLResponse:
    """The HTTP calls to try out, without a network, under any path prefix."""
    page = get_swagger_ui_html(
        openapi_url="./openapi.json",
        title="Elsa Real-Time Leaderboard",
        swagger_js_url="./docs/assets/swagger-ui-bundle.js",
        swagger_css_url="./docs/assets/swagger-ui.css",
        swagger_favicon_url="./docs/assets/favicon-32x32.png",
    )
    page.headers["Content-Security-Policy"] = _DOCS_POLICY
    return page


def add_docs(app: FastAPI) -> None:
    """Serve `/docs` with the bundled Swagger UI, and `/asyncapi.json`."""
    app.add_api_route("/asyncapi.json", asyncapi, include_in_schema=False)
    app.add_api_route("/docs", docs, include_in_schema=False)
    app.mount("/docs/assets", StaticFiles(directory=SWAGGER), name="docs-assets")
