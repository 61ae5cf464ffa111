"""What the host of a show does to a session over HTTP: with players, with joining, with the board, and the end."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query

from service.core.errors import Refused
from service.core.host_decisions import FREEZE, HIDDEN, LOCK, NAME, PODIUM, REMOVED, FrozenBoard, about
from service.core.protocol import DEFAULT_SESSION, SessionId, UserId, Username
from service.core.session import Session
from service.http.admin_permission import REFUSALS, Admin
from service.http.camel_case import CamelCaseModel
from service.stores.base import Store

Named = Annotated[SessionId, Query(alias="sessionId")]
Player = Annotated[UserId, Query(alias="userId")]


class HostAnswer(CamelCaseModel):
    """What was done, and all that the host has decided in the session."""

    message: str
    session_id: str
    locked: bool
    frozen: bool
    podium: bool
    hidden: list[str]
    removed: list[str]
    names: dict[str, str]


class HostRoutes:
    """`/api/host`, for admins; a frozen board has the first `top` rows."""

    def __init__(self, store: Store, admin: Admin, top: int) -> None:
        self._store = store
        self._admin = admin
        self._top = top

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/host")
        full = {**REFUSALS, 409: {"description": "Beyond the maximum of sessions"}}
        unknown = {**full, 404: {"description": "Nobody of that id was in the session"}}
        for_admins = [Depends(self._admin.check)]
        for call, path, responses in (
            (self.rename, "/rename", unknown), (self.hide, "/hide", unknown), (self.show, "/show", unknown),
            (self.remove, "/remove", unknown), (self.lock, "/lock", full), (self.unlock, "/unlock", full),
            (self.freeze, "/freeze", full), (self.reveal, "/reveal", full), (self.podium, "/podium", full),
        ):  # fmt: skip
            router.add_api_route(path, call, methods=["POST"], dependencies=for_admins, responses=responses)
        router.add_api_route("", self.decided, dependencies=for_admins, responses=REFUSALS)
        return router

    async def decided(self, session_id: Named = DEFAULT_SESSION) -> HostAnswer:
        """All that the host has decided in the session."""
        return _answer("What the host has decided", self._session(session_id))

    async def rename(
        self, user_id: Player, username: Annotated[Username, Query()], session_id: Named = DEFAULT_SESSION
    ) -> HostAnswer:
        """Call the player so, whatever name later joins give."""
        return await self._of_player(f"{user_id} is called {username}", session_id, user_id, {NAME: username})

    async def hide(self, user_id: Player, session_id: Named = DEFAULT_SESSION) -> HostAnswer:
        """Leave the player off the board and unranked; the player goes on playing."""
        return await self._of_player(f"{user_id} is hidden", session_id, user_id, {HIDDEN: True})

    async def show(self, user_id: Player, session_id: Named = DEFAULT_SESSION) -> HostAnswer:
        """Undo `hide` and `remove`."""
        shown = {HIDDEN: False, REMOVED: False}
        return await self._of_player(f"{user_id} is shown", session_id, user_id, shown)

    async def remove(self, user_id: Player, session_id: Named = DEFAULT_SESSION) -> HostAnswer:
        """Take the player off the board and out of the session: its sockets only watch, and nobody joins as it."""
        return await self._of_player(f"{user_id} is removed", session_id, user_id, {REMOVED: True})

    async def lock(self, session_id: Named = DEFAULT_SESSION) -> HostAnswer:
        """Let nobody new join; who has joined may come back."""
        return await self._decide("Joining is locked", session_id, {LOCK: self._session(session_id).everybody})

    async def unlock(self, session_id: Named = DEFAULT_SESSION) -> HostAnswer:
        """Let everybody join."""
        return await self._decide("Joining is open", session_id, {LOCK: None})

    async def freeze(self, session_id: Named = DEFAULT_SESSION) -> HostAnswer:
        """Send no more boards; scores go on counting. A board that is frozen stays as it is."""
        session = self._session(session_id)
        values = {} if session.host.frozen is not None else {FREEZE: self._board(session), PODIUM: False}
        return await self._decide("The board is frozen", session_id, values)

    async def reveal(self, session_id: Named = DEFAULT_SESSION) -> HostAnswer:
        """Send the board as it is now, in one frame, and go on."""
        return await self._decide("The board is revealed", session_id, {FREEZE: None, PODIUM: False})

    async def podium(self, session_id: Named = DEFAULT_SESSION) -> HostAnswer:
        """End the show: the board is revealed, and its first three are on the podium."""
        return await self._decide("The show is over", session_id, {FREEZE: None, PODIUM: True})

    def _session(self, session_id: str) -> Session:
        return self._store.view(session_id, time.time())

    def _board(self, session: Session) -> dict[str, Any]:
        board = FrozenBoard(
            version=session.version,
            epoch=session.epoch,
            leaderboard=session.entries(self._top),
            total_players=len(session.board),
            total_participants=session.participants,
        )
        return board.model_dump(mode="json", by_alias=True)

    async def _of_player(self, message: str, session_id: str, user_id: str, values: dict[str, Any]) -> HostAnswer:
        """Decide on a player. Raises HTTPException (404) for a user who was never in the session."""
        if not self._session(session_id).knows(user_id):
            raise HTTPException(404, f"expected somebody who was in {session_id}, got {user_id}")
        return await self._decide(message, session_id, {about(kind, user_id): one for kind, one in values.items()})

    async def _decide(self, message: str, session_id: str, values: dict[str, Any]) -> HostAnswer:
        """Raises HTTPException (409) where there is no room for the session."""
        try:
            session = await self._store.decide(session_id, values, time.time())
        except Refused as refusal:
            raise HTTPException(409, refusal.message) from None
        return _answer(message, session)


def _answer(message: str, session: Session) -> HostAnswer:
    host = session.host
    return HostAnswer(
        message=message,
        session_id=session.id,
        locked=host.locked is not None,
        frozen=host.frozen is not None,
        podium=host.podium,
        hidden=host.of_kind(HIDDEN),
        removed=host.of_kind(REMOVED),
        names=dict(host.names),
    )
