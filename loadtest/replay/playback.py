"""Play a score log through real sockets and compare the board with a naive fold of the log.

Each player has a socket; beyond `MAX_SOCKETS`, players share sockets. On a shared socket, a user must
have joined before their score is sent, and a refused join would credit the score to the wrong player.
Therefore each socket has exactly one message in flight: join, wait for the answer, score, wait for
the answer. This also keeps each user's rows in order, whatever is refused, lost and resent.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from websockets.exceptions import InvalidHandshake

from loadtest import access
from loadtest.replay.score_log import LogRow
from loadtest.transport.asyncio_socket import Ended, Wire
from loadtest.transport.reconnect import closed_permanently, wait_before

MAX_SOCKETS: Final = 1000
CONNECTING_AT_ONCE: Final = 100
AHEAD: Final = 2000  # rows that may be in flight, so that even at full speed the log is played roughly in order
GIVE_UP: Final = 60.0  # seconds without a connection after which the service counts as gone
_RNG: Final = random.Random()


class ServiceGone(Exception):
    """No socket can be opened; the text says why."""


class ServiceRefused(Exception):
    """The service refused a message permanently; the text is the service's."""


@dataclass(slots=True)
class Progress:
    """The progress of a replay. `late` is how many seconds after its time the newest row was sent.

    `provisional` counts the rows answered with `durable: false`: one worker shows them, until Redis has confirmed them.
    """

    rows: int
    answered: int = 0
    provisional: int = 0
    reconnects: int = 0
    limited: int = 0
    late: float = 0.0
    refused: list[str] = field(default_factory=list)  # what the service did not count, and why


@dataclass(frozen=True, slots=True)
class _Job:
    row: LogRow
    op_id: str
    due: float  # monotonic


class ReplaySocket:
    """One socket and its queue of rows."""

    def __init__(self, url: str, session_id: str, first: LogRow, progress: Progress, gate: asyncio.Semaphore) -> None:
        self._url = url
        self._session_id = session_id
        self._progress = progress
        self._gate = gate
        self._wire: Wire | None = None
        self._plays = (first.user_id, first.username)
        self._jobs: deque[_Job] = deque()
        self._news = asyncio.Event()  # a row, the end of the rows, or the end of the connection
        self._done = False

    def put(self, job: _Job) -> None:
        """Append a row to the queue."""
        self._jobs.append(job)
        self._news.set()

    def finish(self) -> None:
        """No more rows will come."""
        self._done = True
        self._news.set()

    async def play(self, answered: Callable[[], None]) -> None:
        """Send the rows as they come, until `finish`; `answered` is called after each."""
        while self._jobs or not self._done:
            assert self._wire is not None
            if self._wire.ended:
                self._progress.reconnects += 1
                await self.open(after=self._wire.code)
            elif self._jobs:
                if await self._deal_with(self._jobs[0]):
                    self._jobs.popleft()
                    self._progress.answered += 1
                    answered()
            else:
                self._news.clear()
                await self._news.wait()

    def close(self) -> None:
        """Close the connection."""
        if self._wire is not None:
            self._wire.close()

    async def open(self, after: int | None = None) -> None:
        """Connect and join as the current player, with full jitter between attempts.

        `after` is the close code of the last connection. Raises `ServiceGone`, `ServiceRefused`.
        """
        if after is not None:
            if (why := closed_permanently(after)) is not None:
                raise ServiceGone(why)
            await asyncio.sleep(wait_before(0, after, _RNG))
        ends = time.monotonic() + GIVE_UP
        tries = 0
        while True:
            try:
                async with self._gate:
                    self._wire = await Wire.connect(self._url, self._news.set)
                    await self._join(*self._plays)
            except (OSError, InvalidHandshake, Ended) as error:
                if self._wire is not None:
                    self._wire.abort()
                if time.monotonic() > ends:
                    raise ServiceGone(f"{access.shown(self._url)}: no connection for {GIVE_UP:g} s ({error})") from None
                await asyncio.sleep(wait_before(tries, None, _RNG))
                tries += 1
            else:
                return

    async def _deal_with(self, job: _Job) -> bool:
        """Send the row; False if the connection was lost before the answer."""
        assert self._wire is not None
        self._progress.late = max(time.monotonic() - job.due, 0.0)
        try:
            await self._score(job)
        except TimeoutError:
            self._wire.abort()  # the answer may still come, but too late to wait for
            await asyncio.sleep(0)
            return False
        except Ended:
            return False
        except ServiceRefused as refused:
            self._progress.refused.append(f"line {job.row.line}: {refused}")
        return True

    async def _score(self, job: _Job) -> None:
        if self._plays != (job.row.user_id, job.row.username):
            await self._join(job.row.user_id, job.row.username)
        answer = await self._ask(
            {"type": "update-score", "data": {"points": job.row.points, "opId": job.op_id}},
            lambda answer: answer.get("opId") == job.op_id,
        )
        self._progress.provisional += not answer["durable"]

    async def _join(self, user_id: str, username: str) -> None:
        data = {"userId": user_id, "sessionId": self._session_id, "username": username}
        data["secret"] = access.player_secret()
        # Messages keep their order, and any other user's join has been answered: a rank of this user answers this join.
        await self._ask({"type": "join-demo", "data": data}, lambda answer: answer.get("userId") == user_id)
        self._plays = (user_id, username)

    async def _ask(self, message: dict[str, Any], answers: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Send until it is accepted; return the answer. Raises `Ended`, TimeoutError, `ServiceRefused`."""
        text = json.dumps(message, separators=(",", ":")).encode()
        while True:
            assert self._wire is not None
            answer = await self._wire.ask(text, answers)
            if "code" not in answer:
                return answer
            if answer["code"] != "rate-limited":
                raise ServiceRefused(f"{answer['code']}: {answer['message']}")
            self._progress.limited += 1
            await asyncio.sleep(float(answer.get("retryAfter") or 0.05))


async def play(rows: list[LogRow], *, url: str, session_id: str, speed: float | None, progress: Progress) -> None:
    """Send all rows (in order of time) to the WebSocket `url`; return when each one has been answered.

    `speed` is the factor by which to speed up the log; None: as fast as the answers come. Raises `ServiceGone`
    and `ServiceRefused` (a join that was refused).
    """
    first_rows: dict[str, LogRow] = {}
    for row in rows:
        first_rows.setdefault(row.user_id, row)
    gate = asyncio.Semaphore(CONNECTING_AT_ONCE)
    lines = [ReplaySocket(url, session_id, first, progress, gate) for first in list(first_rows.values())[:MAX_SOCKETS]]
    line_of = {user_id: lines[number % MAX_SOCKETS] for number, user_id in enumerate(first_rows)}
    try:
        await _all([line.open() for line in lines])
        under_way = asyncio.Semaphore(AHEAD)
        run = secrets.token_hex(6)
        feeding = _feed(rows, line_of, lines, under_way, speed=speed, run=run)
        await _all([feeding, *(line.play(under_way.release) for line in lines)])
    finally:
        for line in lines:
            line.close()


async def _feed(
    rows: list[LogRow],
    line_of: dict[str, ReplaySocket],
    lines: list[ReplaySocket],
    under_way: asyncio.Semaphore,
    *,
    speed: float | None,
    run: str,
) -> None:
    """Pass each row to its socket when it is due."""
    start = time.monotonic()
    for number, row in enumerate(rows):
        due = time.monotonic() if speed is None else start + (row.time - rows[0].time) / speed
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        await under_way.acquire()
        line_of[row.user_id].put(_Job(row, f"{run}-{number}", due))
    for line in lines:
        line.finish()


async def _all(coroutines: list[Any]) -> None:
    """Run all; the first failure cancels the others and is raised unchanged."""
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in coroutines:
                group.create_task(coroutine)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
