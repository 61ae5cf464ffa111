"""A session's leaderboard over HTTP: pages of it, and one player with the neighbours."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query

from service.core.protocol import Entry, SessionId, UserId
from service.http.camel_case import CamelCaseModel
from service.stores.base import Store


class LeaderboardPage(CamelCaseModel):
    """A page of a session's board."""

    session_id: str
    leaderboard: tuple[Entry, ...]
    total_players: int
    total_participants: int
    version: int
    epoch: str
    timestamp: datetime


class PlayerPlace(CamelCaseModel):
    """One player with the neighbours, in order."""

    player: Entry
    around: tuple[Entry, ...]
    total_players: int
    version: int
    epoch: str


class LeaderboardRoutes:
    """`/api/leaderboard`; reading never creates a session."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/leaderboard")
        router.add_api_route("/{sessionId}", self.leaderboard)
        router.add_api_route(
            "/{sessionId}/players/{userId}",
            self.player,
            responses={404: {"description": "Nobody of that id is ranked in the session"}},
        )
        return router

    async def leaderboard(
        self,
        session_id: Annotated[SessionId, Path(alias="sessionId")],
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
        session_id: Annotated[SessionId, Path(alias="sessionId")],
        user_id: Annotated[UserId, Path(alias="userId")],
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
