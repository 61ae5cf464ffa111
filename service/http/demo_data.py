"""The demo over HTTP: the users to pick and the sessions that exist, populate, and reset."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query

from service.core.errors import Refused
from service.core.protocol import DEFAULT_SESSION, Entry, SessionId
from service.core.session import Session
from service.core.user_appearance import DEMO_USERS
from service.http.admin_permission import REFUSALS, Admin
from service.http.camel_case import CamelCaseModel
from service.stores.base import Store


class DemoAnswer(CamelCaseModel):
    """What populate and reset leave behind."""

    message: str
    leaderboard: tuple[Entry, ...]


class AvailableUser(CamelCaseModel):
    """A user to pick."""

    id: str
    username: str
    avatar: str
    color: str


class ActiveSession(CamelCaseModel):
    """A session that exists."""

    id: str
    participants: int
    players: int


class DemoInfo(CamelCaseModel):
    """What the page needs to begin."""

    title: str = "Elsa Real-Time Leaderboard"
    description: str = "Pick a user, score, and watch everyone's board move."
    available_users: list[AvailableUser]
    active_sessions: dict[str, ActiveSession]


class DemoRoutes:
    """`/api/demo`; populate and reset are for admins, and answer with the first `top` rows."""

    def __init__(self, store: Store, admin: Admin, top: int) -> None:
        self._store = store
        self._admin = admin
        self._top = top

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/demo")
        for_admins = [Depends(self._admin.check)]
        router.add_api_route(
            "/populate",
            self.populate,
            methods=["POST"],
            dependencies=for_admins,
            responses={**REFUSALS, 409: {"description": "Beyond the maximum of players, or of sessions"}},
        )
        router.add_api_route("/reset", self.reset, methods=["POST"], dependencies=for_admins, responses=REFUSALS)
        router.add_api_route("", self.demo)
        return router

    async def populate(
        self, session_id: Annotated[SessionId, Query(alias="sessionId")] = DEFAULT_SESSION
    ) -> DemoAnswer:
        """Set the demo users' scores."""
        try:
            session = await self._store.populate(session_id, time.time())
        except Refused as refusal:
            raise HTTPException(409, refusal.message) from None
        return self._answer("Demo data populated", session)

    async def reset(self, session_id: Annotated[SessionId, Query(alias="sessionId")] = DEFAULT_SESSION) -> DemoAnswer:
        """Clear all scores."""
        return self._answer("Leaderboard reset", await self._store.reset(session_id, time.time()))

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

    def _answer(self, message: str, session: Session | None) -> DemoAnswer:
        return DemoAnswer(message=message, leaderboard=() if session is None else session.entries(self._top))
