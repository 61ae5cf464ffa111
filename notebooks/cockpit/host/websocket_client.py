"""One WebSocket to the service that comes back by itself.

The notebook's own client, the story's tabs and nothing else: it runs on the kernel's loop. It
watches until it joins, rejoins after a fault, and sends unanswered scores again with the same
`opId`, so that a score counts once however often the connection breaks.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from loadtest import access
from loadtest.transport.reconnect import closed_permanently, wait_before

PING_EVERY = 2.0  # seconds
ABNORMAL = 1006

OnFrame = Callable[[str, Mapping[str, Any], float], None]
OnConnection = Callable[[str], None]


class ScoreRefused(RuntimeError):
    """The service answered with an `error`; `code` is one of docs/protocol.md, `retry_after` in seconds or None."""

    def __init__(self, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.retry_after = retry_after


class Stopped(ConnectionError):
    """The service closed the connection for good and says why; to try again would be wrong."""


@dataclass(frozen=True, slots=True)
class ScoreAnswer:
    """What the service said to a score. `sent_at` and `at` are `time.perf_counter()` seconds."""

    points: int
    score: int
    rank: int | None
    epoch: str
    version: int
    durable: bool
    sent_at: float
    at: float


@dataclass(frozen=True, slots=True)
class _Unanswered:
    points: int
    sent_at: float
    answer: asyncio.Future[ScoreAnswer]


class LeaderboardClient:
    """A client of one session.

    `on_frame(type, data, at)` gets every frame that arrives, `at` in `time.perf_counter()` seconds;
    `on_connection(state)` each change of `connecting`, `live`, `waiting`, `stopped`.
    `run()` is the owner's task: it ends only by cancellation, or with `Stopped`.
    """

    def __init__(
        self,
        url: str,
        session: str = "DEMO123",
        *,
        on_frame: OnFrame = lambda *_: None,
        on_connection: OnConnection = lambda *_: None,
        rng: random.Random | None = None,
    ) -> None:
        self.url = url
        self.session = session
        self.user: str | None = None
        self.username: str | None = None
        self.connection = "connecting"
        self.clock_offset = 0.0  # seconds to add to time.time() to get the service's clock
        self.round_trip: float | None = None  # seconds, of the last ping
        self._on_frame = on_frame
        self._on_connection = on_connection
        self._rng = rng or random.Random()
        self._socket: ClientConnection | None = None
        self._unanswered: dict[str, _Unanswered] = {}
        self._best_round_trip = float("inf")
        self._is_live = asyncio.Event()

    async def run(self) -> None:
        """Connect, read, come back after every fault. Raises `Stopped` when the service forbids it."""
        attempt = 0
        try:
            while True:
                self._change("connecting")
                code = await self._one_connection()
                if (why := closed_permanently(code)) is not None:
                    raise Stopped(why)
                attempt = 0 if self.connection == "live" else attempt + 1
                self._change("waiting")
                await asyncio.sleep(wait_before(attempt, code, self._rng))
        finally:
            self._change("stopped")
            for unanswered in self._unanswered.values():
                unanswered.answer.cancel()
            self._unanswered.clear()

    async def live(self) -> None:
        """Wait until a first board has come over the present connection."""
        await self._is_live.wait()

    async def join(self, user: str, username: str | None = None) -> None:
        """Play as `user` from now on, also after a reconnect; watch if somebody else does or the host forbids it."""
        self.user, self.username = user, username
        await self._send(self._hello())

    async def watch(self) -> None:
        """Stop playing and only watch."""
        self.user = self.username = None
        await self._send(self._hello())

    async def score(self, points: int) -> ScoreAnswer:
        """Add points and wait for the answer, over a reconnect if need be.

        Raises `ScoreRefused` when the service says no, `CancelledError` when the client ends first.
        """
        op_id = secrets.token_urlsafe(12)
        unanswered = _Unanswered(points, time.perf_counter(), asyncio.get_running_loop().create_future())
        self._unanswered[op_id] = unanswered
        try:
            await self._send(_update_score(op_id, points))
            return await unanswered.answer
        finally:
            self._unanswered.pop(op_id, None)

    def drop(self) -> None:
        """Cut the connection as a fault does: no close frame, nothing flushed."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def _one_connection(self) -> int | None:
        """Read until the connection ends; return its close code, None when there was no connection."""
        try:
            socket = await connect(self.url, proxy=None, compression=None, open_timeout=5, close_timeout=1)
        except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed):
            return None
        pinging = asyncio.create_task(self._ping(socket))
        try:
            # Both before the first await: a score that is made from here on is sent by its own call.
            earlier = tuple(self._unanswered.items())
            self._socket = socket
            await socket.send(self._hello())
            for op_id, unanswered in earlier:
                await socket.send(_update_score(op_id, unanswered.points))
            while True:
                kind, data = self._take(await socket.recv())
                if kind == "error" and data["code"] in {"taken", "removed"}:
                    await self.watch()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else ABNORMAL
        finally:
            self._socket = None
            self._is_live.clear()
            pinging.cancel()
            await socket.close()

    async def _ping(self, socket: ClientConnection) -> None:
        # The reader notices the end of the connection and says so; here it is only the end of pinging.
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.send(_frame("ping", t=time.perf_counter()))
                await asyncio.sleep(PING_EVERY)

    async def _send(self, text: str) -> None:
        # Not connected, or no longer: the next connection says hello and sends what is unanswered.
        if self._socket is not None:
            with contextlib.suppress(ConnectionClosed):
                await self._socket.send(text)

    def _hello(self) -> str:
        if self.user is None:
            return _frame("watch-demo", sessionId=self.session)
        named = {} if self.username is None else {"username": self.username}
        return _frame("join-demo", userId=self.user, sessionId=self.session, **named, secret=access.player_secret())

    def _take(self, text: str | bytes) -> tuple[str, Mapping[str, Any]]:
        at = time.perf_counter()
        frame = json.loads(text)
        kind, data = frame["type"], frame["data"]
        if kind == "leaderboard-update" and not self._is_live.is_set():
            self._is_live.set()
            self._change("live")
        elif kind == "user-rank-update" and (unanswered := self._unanswered.get(data.get("opId"))) is not None:
            if not unanswered.answer.done():
                unanswered.answer.set_result(_answer(data, unanswered, at))
        elif kind == "error" and (unanswered := self._unanswered.get(data.get("opId"))) is not None:
            if not unanswered.answer.done():
                unanswered.answer.set_exception(ScoreRefused(data["code"], data["message"], data.get("retryAfter")))
        elif kind == "pong":
            self._measure(data, at)
        self._on_frame(kind, data, at)
        return kind, data

    def _measure(self, pong: Mapping[str, Any], at: float) -> None:
        """Estimate the service's clock as NTP does: the fastest round trip has the least error."""
        self.round_trip = at - pong["t"]
        if self.round_trip <= self._best_round_trip:
            self._best_round_trip = self.round_trip
            self.clock_offset = pong["serverTime"] / 1000 + self.round_trip / 2 - time.time()

    def _change(self, state: str) -> None:
        if state != self.connection:
            self.connection = state
            self._on_connection(state)


def _frame(kind: str, **data: object) -> str:
    return json.dumps({"type": kind, "data": data}, separators=(",", ":"))


def _update_score(op_id: str, points: int) -> str:
    return _frame("update-score", points=points, opId=op_id)


def _answer(data: Mapping[str, Any], unanswered: _Unanswered, at: float) -> ScoreAnswer:
    return ScoreAnswer(
        data["points"],
        data["score"],
        data["rank"],
        data["epoch"],
        data["version"],
        data["durable"],
        unanswered.sent_at,
        at,
    )
