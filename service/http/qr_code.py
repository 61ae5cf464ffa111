"""QR codes of the addresses under which the page can be joined."""

from __future__ import annotations

import io
from typing import Annotated

import segno
from fastapi import APIRouter, Query, Response


def qr_svg(text: str) -> bytes:
    """A QR code of `text`, dark on white with its quiet zone, as an SVG that takes any size."""
    image = io.BytesIO()
    code = segno.make_qr(text, error="m")
    code.save(image, kind="svg", xmldecl=False, omitsize=True, svgclass=None, lineclass=None, light="#fff")
    return image.getvalue()


# Not a coroutine, so that it runs in a thread: a long address takes some 15 ms.
def qr(to: Annotated[str, Query(pattern=r"^https?://[!-~]+$", max_length=250)]) -> Response:
    """The QR code of an address to join under; the page knows that address, behind a proxy too."""
    return Response(qr_svg(to), media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})


def router() -> APIRouter:
    """`/api/qr`."""
    router = APIRouter()
    router.add_api_route("/api/qr", qr, response_class=Response)
    return router
