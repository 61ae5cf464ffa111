"""The story's tabs in the notebook: three clients of the cockpit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from cockpit.host.processes import get, post
from cockpit.host.websocket_client import LeaderboardClient
from cockpit.story.script import Sight, TabRow
from cockpit.ui.plurals import listed, noun
from cockpit.ui.tasks import Report, Tasks

EMPTY_WITHIN = 5.0  # seconds
POLL_TIME = 0.05  # seconds


class SessionOccupied(RuntimeError):
    """Other players are in the session, so arrivals and ranks would not be the story's. The text names them."""


class ClientTab(Sight):
    """A tab without a browser: one client, and what a page would show of its messages."""

    def __init__(self, name: str, ws_url: str, session: str, tasks: Tasks) -> None:
        super().__init__(name)
        self._client = LeaderboardClient(ws_url, session, on_frame=self._take, on_connection=self._connection)
        tasks.start(self._client.run(), f"{name} of the story")

    async def live(self) -> None:
        """Wait until it shows a board."""
        await self._client.live()

    async def join(self, user: str) -> None:
        """Play as `user`."""
        await self._client.join(user)

    async def score(self, points: int) -> None:
        """Add points; return when the service has answered."""
        await self._client.score(points)

    async def drop(self) -> None:
        """Cut the connection as a fault does."""
        self._client.drop()

    def _connection(self, state: str) -> None:
        self.see(replace(self.seen, connection=state, lives=self.seen.lives + (state == "live")))

    def _take(self, kind: str, data: Mapping[str, Any], at: float) -> None:
        if kind == "leaderboard-update":
            board = tuple(TabRow(entry["userId"], entry["rank"], entry["score"]) for entry in data["leaderboard"])
            self.see(replace(self.seen, board=board))
        elif kind == "user-rank-update":
            own = None if data["rank"] is None else TabRow(data["userId"], data["rank"], data["score"])
            self.see(replace(self.seen, user=data["userId"], own=own))
        elif kind == "participant-joined":
            self.see(replace(self.seen, arrivals=(*self.seen.arrivals, f"{data['username']} joined")))


class ClientTabs:
    """`async with ClientTabs(...) as tabs:` opens three tabs that watch, and closes them at the end.

    Raises `SessionOccupied` when other players are connected; `connected` returns the names of those that the
    caller knows, by user, for its text. `admin_token` is the service's, if it has one.
    """

    def __init__(
        self,
        url: str,
        ws_url: str,
        session: str,
        report: Report,
        connected: Callable[[], Mapping[str, str]] = dict,
        admin_token: str = "",
    ) -> None:
        self.url = url
        self.session = session
        self.all: tuple[ClientTab, ...] = ()
        self._ws_url = ws_url
        self._connected = connected
        self._admin_token = admin_token
        self._tasks = Tasks(report)

    async def __aenter__(self) -> Self:
        await self._nobody_plays()
        self.all = tuple(ClientTab(f"tab {n}", self._ws_url, self.session, self._tasks) for n in (1, 2, 3))
        await asyncio.gather(*(tab.live() for tab in self.all))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.cancel()

    async def populate(self) -> None:
        """Press Populate Demo Data."""
        await post(f"{self.url}/api/demo/populate?sessionId={self.session}", self._admin_token)

    async def reset(self) -> None:
        """Press Reset Leaderboard."""
        await post(f"{self.url}/api/demo/reset?sessionId={self.session}", self._admin_token)

    async def _nobody_plays(self) -> None:
        # The service counts a player that has just left for a moment longer.
        address = f"{self.url}/api/leaderboard/{self.session}?limit=1000"
        about = await get(address)
        try:
            async with asyncio.timeout(EMPTY_WITHIN):
                while about["totalParticipants"]:
                    await asyncio.sleep(POLL_TIME)
                    about = await get(address)
        except TimeoutError:
            raise SessionOccupied(self._who_plays(about)) from None

    def _who_plays(self, about: Mapping[str, Any]) -> str:
        """Return the sentence with their names, or with their number if a name is unknown."""
        count = about["totalParticipants"]
        # The board says which ranked players are connected; the others are known only by their arrival.
        ranked = {entry["userId"] for entry in about["leaderboard"]}
        names = [entry["username"] for entry in about["leaderboard"] if entry["isConnected"]]
        names += [name for user, name in self._connected().items() if user not in ranked]
        who = listed(names) if len(names) == count else f"{count} {noun(count, 'player')}"
        return (
            f"{who} {'plays' if count == 1 else 'play'} in another tab, and the story needs the session to itself: "
            "press Leave there or close it, then press Play story again."
        )
