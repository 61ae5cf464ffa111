"""Simulated players inside the notebook: enough to make a board move, not to measure it.

A load for measurements belongs in other processes (`loadtest`). These bots share the kernel's loop with
the charts, so they are few, and they never parse the boards that they receive.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
from collections import Counter
from collections.abc import Callable

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from cockpit.host.websocket_client import Stopped
from cockpit.ui.tasks import Report, Tasks
from loadtest import access
from loadtest.transport.reconnect import closed_permanently, wait_before

MOST_PLAYERS = 200
MOST_PER_PLAYER = 10.0  # scores a second: half of what the service allows a connection
POINTS = (5, 10, 10, 15, 25)
ANSWER = b'{"type":"user-rank-update"'
FIRST = ("Nova", "Milo", "Yuki", "Zara", "Otis", "Lena", "Ravi", "Ines", "Theo", "Mina", "Hugo", "Aiko", "Juno",
         "Emil", "Nala", "Kofi", "Vera", "Luca", "Suri", "Arlo")  # fmt: skip


OnAnswer = Callable[[str, bool], None]


class Bots:
    """Up to `MOST_PLAYERS` players that score `rate` times a second together, at random moments.

    `on_answer(op_id, durable)` is called for every answer to their scores, second answers included.
    """

    def __init__(
        self, url: str, session: str, report: Report, on_answer: OnAnswer | None = None, *, seed: int = 1
    ) -> None:
        self.url = url
        self.session = session
        self.refusals: Counter[str] = Counter()
        self._on_answer = on_answer
        self._rate = 0.0
        self._rng = random.Random(seed)
        self._tasks = Tasks(report)
        self._players: list[asyncio.Task[None]] = []
        self._sockets: dict[int, ClientConnection] = {}
        self._scoring: asyncio.Task[None] | None = None
        self._rate_changed = asyncio.Event()

    @property
    def players(self) -> int:
        """The number of players asked for."""
        return len(self._players)

    @property
    def connected(self) -> int:
        """The number of players connected now."""
        return len(self._sockets)

    @property
    def rate(self) -> float:
        """Scores a second, of all players together."""
        return self._rate

    def resize(self, players: int, rate: float) -> None:
        """Let `players` play, with `rate` scores a second together; players join and leave at once.

        Raises `ValueError` beyond 200 players or 10 scores a second and player.
        """
        if not 0 <= players <= MOST_PLAYERS:
            raise ValueError(f"the notebook simulates 0 to {MOST_PLAYERS} players, not {players}")
        if not 0 <= rate <= max(players, 1) * MOST_PER_PLAYER:
            raise ValueError(
                f"{players} players score at most {players * MOST_PER_PLAYER:g} times a second, not {rate:g}"
            )
        while len(self._players) > players:
            self._players.pop().cancel()
        while len(self._players) < players:
            number = len(self._players)
            self._players.append(self._tasks.start(self._play(number), f"simulated player {number + 1}"))
        self._rate = rate
        self._rate_changed.set()
        if self._scoring is None:
            self._scoring = self._tasks.start(self._score(), "the simulated players' scores")

    def status(self) -> str:
        """How many are connected, and which errors they got, in words; empty without players."""
        if not self.players:
            return ""
        refused = ", ".join(f"{code} {times}" for code, times in self.refusals.items())
        return f"{self.connected} of {self.players} connected" + f", refused: {refused}" * bool(refused)

    async def close(self) -> None:
        """Let all players leave and wait until they have left."""
        self._players.clear()
        self._rate, self._scoring = 0.0, None
        await self._tasks.cancel()

    async def _play(self, number: int) -> None:
        """Stay connected as one player: reconnect after every fault. Raises `Stopped` when the service forbids it."""
        name = f"{FIRST[number % len(FIRST)]} {number // len(FIRST) + 1}".removesuffix(" 1")
        user = f"sim-{number + 1:03}"
        attempt = 0
        while True:
            code = None
            try:
                async with connect(self.url, proxy=None, compression=None, close_timeout=1) as socket:
                    who = {"userId": user, "sessionId": self.session, "username": name}
                    await socket.send(_frame("join-demo", **who, secret=access.player_secret()))
                    self._sockets[number] = socket
                    attempt = 0
                    try:
                        while True:
                            self._hear(await socket.recv(decode=False))
                    finally:
                        # A successor with the same number may already be connected.
                        if self._sockets.get(number) is socket:
                            del self._sockets[number]
            except ConnectionClosed as closed:
                code = None if closed.rcvd is None else closed.rcvd.code
            except (OSError, TimeoutError, InvalidHandshake):
                pass  # there was no connection, so no close code
            if (why := closed_permanently(code)) is not None:
                raise Stopped(why)
            await asyncio.sleep(wait_before(attempt, code, self._rng))
            attempt += 1

    def _hear(self, frame: bytes) -> None:
        # Nearly every frame is a board; its first bytes tell it from the others without parsing it.
        if frame.startswith(b'{"type":"error"'):
            self.refusals[json.loads(frame)["data"]["code"]] += 1
        elif self._on_answer is not None and frame.startswith(ANSWER) and b'"durable":' in frame:
            answer = json.loads(frame)["data"]
            self._on_answer(answer["opId"], answer["durable"])

    async def _score(self) -> None:
        """Score at the times of one Poisson process; they are absolute, so a late loop loses no score."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if self._rate <= 0:
                self._rate_changed.clear()
                await self._rate_changed.wait()
                due = loop.time()
                continue
            due = max(due + self._rng.expovariate(self._rate), loop.time() - 1.0)
            await asyncio.sleep(max(due - loop.time(), 0.0))
            if self._sockets:
                # Squared: some players score more often than others, so ranks change.
                at = int(len(self._sockets) * self._rng.random() ** 2)
                socket = list(self._sockets.values())[at]
                with contextlib.suppress(ConnectionClosed):
                    await socket.send(_frame("update-score", points=self._rng.choice(POINTS), **self._op_id()))

    def _op_id(self) -> dict[str, str]:
        # Without a listener, answers need not be distinguished.
        return {} if self._on_answer is None else {"opId": secrets.token_urlsafe(9)}


def _frame(kind: str, **data: object) -> str:
    return json.dumps({"type": kind, "data": data}, separators=(",", ":"))
