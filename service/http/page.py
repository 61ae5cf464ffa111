"""The page and its files, from `static/`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

STATIC = next(
    folder
    # Beside the package in a checkout, inside it once installed.
    for folder in (Path(__file__).parents[2] / "static", Path(__file__).parents[1] / "static")
    if folder.is_dir()
)


class _Files(StaticFiles):
    """The files of the page, which a browser may keep and asks about again, as it does the page."""

    def file_response(self, *given: Any, **named: Any) -> Response:
        response = super().file_response(*given, **named)
        response.headers["Cache-Control"] = "no-cache"
        return response


async def page() -> FileResponse:
    """The page."""
    # Asked again each time, so that an upgraded service is never shown through an old page.
    return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})


def add_page(app: FastAPI) -> None:
    """Serve the page at `/` and its files under `/static`."""
    app.add_api_route("/", page, include_in_schema=False)
    app.mount("/static", _Files(directory=STATIC), name="static")
