"""The page and its files, from `static/`."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

STATIC = next(
    folder
    # Beside the package in a checkout, inside it once installed.
    for folder in (Path(__file__).parents[2] / "static", Path(__file__).parents[1] / "static")
    if folder.is_dir()
)


async def page() -> FileResponse:
    """The page."""
    # Asked again each time, so that an upgraded service is never shown through an old page.
    return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})


def add_page(app: FastAPI) -> None:
    """Serve the page at `/` and its files under `/static`."""
    app.add_api_route("/", page, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
