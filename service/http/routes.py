"""The HTTP calls and the one WebSocket route, as thin as they can be: read the request, ask, answer."""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import segno
import swagger_ui_bundle
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.websockets import WebSocket

from service import __version__
from service.core.errors import Refused
from service.core.protocol import DEFAULT_SESSION, Entry, SessionId, UserId
from service.core.session import Session
from service.core.users import DEMO_USERS
from service.http.access import Admin
from service.http.asyncapi import describe
from service.metrics import Metrics
from service.realtime.connection import Connections
from service.server.shutdown import Draining
from service.stores.base import Store

STATIC = next(
    folder
    # Beside the package in a checkout, inside it once installed.
    for folder in (Path(__file__).parents[2] / "static", Path(__file__).parents[1] / "static")
    if folder.is_dir()
)
SWAGGER = Path(swagger_ui_bundle.swagger_ui_path)

# Swagger UI sets styles by script and starts from an inline one; that holds for this page alone.
_DOCS_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)


def qr_svg(text: str) -> bytes:
    """A QR code of `text`, dark on white with its quiet zone, as an SVG that takes any size."""
    image = io.BytesIO()
    code = segno.make_qr(text, error="m")
    code.save(image, kind="svg", xmldecl=False, omitsize=True, svgclass=None, lineclass=None, light="#fff")
    return image.getvalue()


class _PostAnswer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True)


class LeaderboardPage(_PostAnswer):
    """A page of a session's board."""

    session_id: str
    leaderboard: tuple[Entry, ...]
    total_players: int
    total_participants: int
    version: int
    epoch: str
    timestamp: datetime


class PlayerPlace(_PostAnswer):
    """One player with the neighbours, in order."""

    player: Entry
    around: tuple[Entry, ...]
    total_players: int
    version: int
    epoch: str


class DemoAnswer(_PostAnswer):
    """What populate and reset leave behind."""

    message: str
    leaderboard: tuple[Entry, ...]


class AvailableUser(_PostAnswer):
    """A user to pick."""

    id: str
    username: str
    avatar: str
    color: str


class ActiveSession(_PostAnswer):
    """A session that exists."""

    id: str
    participants: int
    players: int


class DemoInfo(_PostAnswer):
    """What the page needs to begin."""

    title: str = "Elsa Real-Time Leaderboard"
    description: str = "Pick a user, score, and watch everyone's board move."
    available_users: list[AvailableUser]
    active_sessions: dict[str, ActiveSession]


class Health(_PostAnswer):
    """How the answering process is."""

    status: Literal["healthy", "degraded"]
    storage: Literal["memory", "redis"]
    timestamp: datetime
    connected_users: int
    active_connections: int
    version: str = Field(description="the package's version")


class Api:
    """The routes over one app's parts; `router` and `docs` go into the app."""

    def __init__(
        self, *, store: Store, connections: Connections, metrics: Metrics, admin: Admin, top: int, draining: Draining
    ) -> None:
        self._store = store
        self._connections = connections
        self._metrics = metrics
        self._admin = admin
        self._top = top
        self._draining = draining
        self.router = self._routes()

    def _routes(self) -> APIRouter:
        router = APIRouter()
        guard = [Depends(self._require_admin)]
        router.add_api_route("/", self.page, include_in_schema=False)
        router.add_api_route("/api/leaderboard/{sessionId}", self.leaderboard)
        router.add_api_route("/api/leaderboard/{sessionId}/players/{userId}", self.player)
        router.add_api_route("/api/demo/populate", self.populate, methods=["POST"], dependencies=guard)
        router.add_api_route("/api/demo/reset", self.reset, methods=["POST"], dependencies=guard)
        router.add_api_route("/api/demo", self.demo)
        router.add_api_route("/api/qr", self.qr, response_class=Response)
        router.add_api_route("/health", self.health)
        router.add_api_route("/ready", self.ready)
        router.add_api_route("/metrics", self.metrics, response_class=Response)
        router.add_api_route("/asyncapi.json", self.asyncapi, include_in_schema=False)
        router.add_api_route("/docs", self.docs, include_in_schema=False)
        router.add_api_websocket_route("/ws", self.socket)
        return router

    async def socket(self, socket: WebSocket) -> None:
        """The one WebSocket."""
        await self._connections.serve(socket)

    async def page(self) -> FileResponse:
        """The page."""
        # Asked again each time, so that an upgraded service is never shown through an old page.
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    async def leaderboard(
        self,
        session_id: Annotated[SessionId, PathParameter(alias="sessionId")],
        limit: Annotated[int, Query(ge=1, le=1000)] = 20,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> LeaderboardPage:
        """A page of the session's board; of an empty one where nobody joined yet."""
        now = time.time()
        session = self._store.view(session_id, now)
        return LeaderboardPage(
            session_id=session_id,
            leaderboard=session.entries(limit, offset),
            total_players=len(session.board),
            total_participants=session.participants,
            version=session.version,
            epoch=session.epoch,
            timestamp=datetime.fromtimestamp(now, UTC),
        )

    async def player(
        self,
        session_id: Annotated[SessionId, PathParameter(alias="sessionId")],
        user_id: Annotated[UserId, PathParameter(alias="userId")],
        around: Annotated[int, Query(ge=0, le=50)] = 2,
    ) -> PlayerPlace:
        """One ranked player and the neighbours on each side; 404 when nobody of that id is ranked."""
        session = self._store.view(session_id, time.time())
        entries = tuple(session.entry(standing) for standing in session.board.around(user_id, around))
        mine = [entry for entry in entries if entry.user_id == user_id]
        if not mine:
            raise HTTPException(404, f"expected a player ranked in {session_id}, got {user_id}")
        return PlayerPlace(
            player=mine[0],
            around=entries,
            total_players=len(session.board),
            version=session.version,
            epoch=session.epoch,
        )

    async def populate(
        self, session_id: Annotated[SessionId, Query(alias="sessionId")] = DEFAULT_SESSION
    ) -> DemoAnswer:
        """Set the demo users' scores."""
        try:
            session = await self._store.populate(session_id, time.time())
        except Refused as refusal:
            raise HTTPException(409, refusal.message) from None
        return self._demo_answer("DemoInfo data populated", session)

    async def reset(self, session_id: Annotated[SessionId, Query(alias="sessionId")] = DEFAULT_SESSION) -> DemoAnswer:
        """Clear all scores."""
        return self._demo_answer("Leaderboard reset", await self._store.reset(session_id, time.time()))

    async def demo(self) -> DemoInfo:
        """The users to pick and the sessions that exist."""
        return DemoInfo(
            available_users=[
                AvailableUser(id=user.id, username=user.username, avatar=user.look.avatar, color=user.look.color)
                for user in DEMO_USERS.values()
            ],
            active_sessions={
                session.id: ActiveSession(id=session.id, participants=session.participants, players=len(session.board))
                for session in self._store.sessions
            },
        )

    # Not a coroutine, so that it runs in a thread: a long address takes some 15 ms.
    def qr(self, to: Annotated[str, Query(pattern=r"^https?://[!-~]+$", max_length=250)]) -> Response:
        """The QR code of an address to join under; the page knows that address, behind a proxy too."""
        return Response(qr_svg(to), media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})

    async def health(self) -> Health:
        """How this process is; it answers as long as it can serve."""
        return Health(
            status="degraded" if self._store.degraded else "healthy",
            storage=self._store.storage,
            timestamp=datetime.now(UTC),
            connected_users=self._connections.users,
            active_connections=len(self._connections),
            version=__version__,
        )

    async def ready(self, response: Response) -> dict[str, str]:
        """Whether to send players here."""
        if self._draining.begun or not self._store.ready:
            response.status_code = 503
            return {"status": "draining" if self._draining.begun else "starting"}
        return {"status": "ready"}

    async def metrics(self) -> Response:
        """This process' counts, as Prometheus reads them."""
        return Response(self._metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def asyncapi(self) -> dict[str, Any]:
        """What is said on `/ws`."""
        return describe()

    async def docs(self, request: Request) -> HTMLResponse:
        """The HTTP calls to try out, without a network."""
        root = request.scope.get("root_path", "").rstrip("/")
        page = get_swagger_ui_html(
            openapi_url=f"{root}/openapi.json",
            title="Elsa Real-Time Leaderboard",
            swagger_js_url=f"{root}/docs/assets/swagger-ui-bundle.js",
            swagger_css_url=f"{root}/docs/assets/swagger-ui.css",
            swagger_favicon_url=f"{root}/docs/assets/favicon-32x32.png",
        )
        page.headers["Content-Security-Policy"] = _DOCS_POLICY
        return page

    async def _require_admin(self, request: Request) -> None:
        refusal = self._admin.refusal(
            client=request.client.host if request.client else None,
            host=request.headers.get("host", ""),
            authorization=request.headers.get("authorization"),
        )
        if refusal is not None:
            status, detail = refusal
            raise HTTPException(status, detail, {"WWW-Authenticate": "Bearer"} if status == 401 else None)

    def _demo_answer(self, message: str, session: Session | None) -> DemoAnswer:
        return DemoAnswer(message=message, leaderboard=() if session is None else session.entries(self._top))
