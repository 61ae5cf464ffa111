"""The notebook as a client of the session: it plays or watches, and keeps what it receives."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from cockpit.host.websocket_client import LeaderboardClient, ScoreAnswer
from cockpit.live.live_state import BoardView, LiveState, Sightings, View

REASONS = {"taken": "somebody else plays as", "removed": "the host removed"}


class NotebookPlayer:
    """The notebook's own client: `state` is what it knows of the session, `user` whom it plays, None while it watches.

    `changed` is called when there is something new to draw, `taken` when it only watches for one of `REASONS`.
    """

    def __init__(self, ws_url: str, session: str, changed: Callable[[], None], taken: Callable[[], None]) -> None:
        self.state = LiveState()
        self.user: str | None = None
        self.client = LeaderboardClient(ws_url, session, on_frame=self._take, on_connection=self._connection)
        self._sightings = Sightings()
        self._changed = changed
        self._taken = taken

    def now(self) -> float:
        """Return the time by the service's clock, in Unix seconds."""
        return time.time() + self.client.clock_offset

    def view(self) -> View:
        """Return the last minute, as of now."""
        return self.state.view(self.now())

    async def play_as(self, user: str | None) -> None:
        """Play as `user`, or only watch with None."""
        self.user = user
        await (self.client.watch() if user is None else self.client.join(user))

    async def score(self, points: int) -> ScoreAnswer:
        """Add points; raises `websocket_client.ScoreRefused`."""
        answer = await self.client.score(points)
        self._seen(self._sightings.answered(answer.epoch, answer.version, answer.sent_at))
        return answer

    def answered(self, op_id: str, durable: bool) -> None:
        """Take the answer to a score of this client or of another one; a score may be answered twice."""
        self.state.outages.answer(op_id, durable=durable)

    def _take(self, kind: str, data: Mapping[str, Any], at: float) -> None:
        if kind == "leaderboard-update":
            board = BoardView.from_wire(data)
            self.state.take_board(board, self.now())
            self._seen(self._sightings.board(board.epoch, board.version, at))
            self._changed()
        elif kind == "user-rank-update" and "durable" in data:
            self.answered(data["opId"], data["durable"])
        elif kind == "error" and data["code"] in REASONS:
            self.state.take_notice(f"{REASONS[data['code']]} {self.user}")
            self.user = None
            self._taken()
            self._changed()
        elif kind in ("participant-joined", "participant-left"):
            self.state.take_notice(f"{data['username']} {kind.removeprefix('participant-')}")
            self.state.take_presence(data["userId"], data["username"], here=kind == "participant-joined")

    def _seen(self, latencies: list[float]) -> None:
        for latency in latencies:
            self.state.take_own(latency, self.now())

    def _connection(self, state: str) -> None:
        self.state.connection = state
        self._changed()
