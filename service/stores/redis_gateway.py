"""The way to Redis: what is asked of it, in the terms of the core, and the stream of what happened there.

Keys, all of one session under one hash tag, so that they live together in a cluster:

    leaderboard:{S}                 hash    run, epoch, generation, version, updates
    leaderboard:{S}:seqs            hash    worker → number of its last batch
    leaderboard:{S}:G               zset    the board of generation G: user → sum of all rows
    leaderboard:{S}:G:row:WORKER    hash    that worker's row: user → points
    leaderboard:{S}:G:names         hash    user → name, where it is not the one the id gives
    leaderboard:{S}:op:USER:ID      string  the points of an update that was counted, for 15 minutes
    leaderboard:{S}:recent          zset    the last messages of the stream, by version
    leaderboard:{S}:holders         hash    user → who alone may play as it, where players are locked
    leaderboard:{S}:host            hash    what the host decided on → [turn, worker, value]
    leaderboard:sessions            set     the sessions there are
    leaderboard:format              string  the version of all this, `FORMAT`

Nothing here is sent twice by itself: whoever calls knows which scripts may be repeated (all of them)
and when to ask first what the first try did.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic_core import to_json
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from service.core.host_decisions import Decisions, from_stored, to_wire
from service.core.line_budget import LineBudget
from service.core.pn_counter import Applied, Replica, SessionSnapshot, Stamp, WorkerRow
from service.core.shared_session import Lost, OperationBatch
from service.core.stream_messages import Message, Unreadable, read_message

CONNECT_SECONDS: Final = 0.3
ANSWER_SECONDS: Final = 0.5
FORMAT: Final = 2  # of what is stored; 1 had no holders and did not name its version
OP_SECONDS: Final = 900  # an op id is remembered in Redis
RECENT: Final = 1000  # batches of a session that can be read by who did not hear them

LINK_ERRORS: Final = (RedisError, OSError, TimeoutError)

_FOLDER: Final = Path(__file__).with_name("lua")
SCRIPTS: Final = {
    name: (_FOLDER / f"{name}.lua").read_text()
    for name in ("apply", "read", "restore", "delete_session", "peek", "claim", "release", "decide")
}
_REGISTRY: Final = "leaderboard:sessions"
_FORMAT: Final = "leaderboard:format"

log = logging.getLogger("leaderboard.redis")


class ForeignFormat(RedisError):
    """What is stored was written by a newer version, whose format this one does not know."""


@dataclass(frozen=True, slots=True)
class ClaimCall:
    """A claim to a user as Redis takes it: for the holder, instead of nobody, of `connection`, or of one that is gone.

    See `core.player_claim`.
    """

    session_id: str
    user_id: str
    holder: str
    connection: str
    gone: str = ""

    def instead_of(self, gone: str) -> ClaimCall:
        """The same claim, after the holder was found to be gone."""
        return replace(self, gone=gone)


class RedisGateway:
    """One connection for questions and one for the stream; made by `connected`. Raises what is in `LINK_ERRORS`."""

    def __init__(self, client: Redis, stream: PubSub, worker: str, channel: str, lines: LineBudget) -> None:
        self._lines = lines
        self._client = client
        self._stream = stream
        self._worker = worker
        self._channel = channel
        self._digests: dict[str, str] = {}

    async def begin(self) -> None:
        """Hear everything from now on, and have the scripts there. Raises `ForeignFormat`."""
        await self._client.set(_FORMAT, FORMAT, nx=True)
        stored = _text(await self._client.get(_FORMAT) or str(FORMAT))
        if not stored.isdecimal() or int(stored) > FORMAT:
            raise ForeignFormat(
                f"expected data of format {FORMAT} or lower, got format {ascii(stored)[1:-1][:20]}: start the version "
                "that wrote it, or use another database"
            )
        await self._stream.subscribe(self._channel)
        for name, text in SCRIPTS.items():
            self._digests[name] = _text(await self._client.script_load(text))

    async def session_ids(self) -> set[str]:
        """The sessions that somebody began."""
        return {_text(name) for name in await self._client.smembers(_REGISTRY)}

    async def apply(self, batches: Sequence[tuple[str, str, OperationBatch]]) -> list[str]:
        """Apply batches of (session, epoch, batch), in one round trip; `OK`, `KNOWN` or `SYNC` for each."""
        calls = [
            (
                "apply",
                session_id,
                (self._worker, batch.seq, epoch, OP_SECONDS, self._channel, session_id, batch.text, RECENT),
            )
            for session_id, epoch, batch in batches
        ]
        return [answer.decode() for answer in await self._call(calls)]

    async def read(self, sessions: Iterable[tuple[str, str, Stamp]]) -> list[SessionSnapshot]:
        """The sessions as they are there; given are the epoch for where a new one is due, and what is known."""
        calls = [("read", session_id, (epoch, known.epoch, known.version)) for session_id, epoch, known in sessions]
        if calls:
            await self._client.sadd(_REGISTRY, *(session_id for _, session_id, _ in calls))
        return [_reading(answer, self._read) for answer in await self._call(calls)]

    async def restore(self, session_id: str, reading: SessionSnapshot, replica: Replica, lost: Iterable[Lost]) -> None:
        """Put rows back, as the replica has them; one that came too late changes nothing."""
        where = (reading.stamp.epoch, replica.generation, self._channel, session_id)
        calls = [
            (
                "restore",
                session_id,
                (
                    *(one.worker, one.seq, *where, to_json(replica.row(one.worker).points), to_json(replica.names)),
                    *(self._worker, one.below),
                ),
            )
            for one in lost
        ]
        await self._call(calls)

    async def claim(self, calls: Sequence[ClaimCall]) -> list[str | None]:
        """Who may play as each user now, in one round trip; None where there is no such session.

        Odd text that somebody wrote there is a holder as any other: one who is nobody here.
        """
        answers = await self._call(
            [("claim", one.session_id, (one.user_id, one.holder, one.connection, one.gone)) for one in calls]
        )
        return [None if answer == b"SYNC" else answer.decode(errors="replace") for answer in answers]

    async def release(self, calls: Sequence[ClaimCall]) -> None:
        """Free the users who are held by these connections."""
        await self._call([("release", one.session_id, (one.user_id, one.connection)) for one in calls])

    async def decide(self, session_id: str, decisions: Decisions) -> None:
        """Keep what the host decided, and tell all workers."""
        single = [part for key, one in decisions.items() for part in (key, one.turn, one.worker, one.text)]
        call = ("decide", session_id, (self._channel, session_id, self._worker, to_wire(decisions), *single))
        await self._call([call])

    async def decisions(self, session_ids: Sequence[str]) -> list[Decisions]:
        """What is kept of what hosts decided."""
        if not session_ids:
            return []
        async with self._client.pipeline(transaction=False) as pipeline:
            for session_id in session_ids:
                pipeline.hgetall(f"{_state(session_id)}:host")
            found = await pipeline.execute()
        return [from_stored({key.decode(errors="replace"): text for key, text in one.items()}) for one in found]

    async def end(self, session_id: str, stamp: Stamp) -> bool:
        """Forget a session, unless it is further than that; whether it is forgotten."""
        call = ("delete_session", session_id, (self._worker, stamp.epoch, stamp.version, self._channel, session_id))
        (answer,) = await self._call([call])
        if answer == b"OK":
            await self._client.srem(_REGISTRY, session_id)
        return bool(answer != b"SYNC")

    async def peek(self, session_ids: Sequence[str]) -> list[Stamp | None]:
        """Where each session stands, without the number of updates; None where Redis knows of none."""
        keys = [_state(session_id) for session_id in session_ids]
        found = await self._client.evalsha(self._digests["peek"], len(keys), *keys)
        pairs = zip(found[::2], found[1::2], strict=True)
        return [None if epoch is None else Stamp(epoch.decode(), int(version)) for epoch, version in pairs]

    async def publish(self, messages: Iterable[Sequence[Any]]) -> None:
        """Publish to all workers, this one included."""
        async with self._client.pipeline(transaction=False) as pipeline:
            for message in messages:
                pipeline.publish(self._channel, to_json(message))
            await pipeline.execute()

    async def stream(self) -> AsyncIterator[tuple[Message, bytes]]:
        """What was published: the message, and the batch that came with it or nothing.

        What is no message is left out, and logged once in a while for each kind.
        """
        while True:
            message = await self._stream.get_message(ignore_subscribe_messages=True, timeout=None)
            if message is not None and (readable := self._read(message["data"])) is not None:
                yield readable

    def _read(self, data: bytes) -> tuple[Message, bytes] | None:
        try:
            return read_message(data)
        except Unreadable as error:
            more = self._lines.more(error.kind, time.monotonic())
            if more is not None:
                log.warning(
                    "no message of a worker on the channel %s: %s%s",
                    self._channel,
                    error,
                    more,
                    extra={"event": "refused-message"},
                )
            return None

    async def _call(self, calls: Sequence[tuple[str, str, tuple[Any, ...]]]) -> list[Any]:
        """Run scripts, each on one session, in one round trip. The last of them may have run when this raises."""
        if not calls:
            return []
        async with self._client.pipeline(transaction=False) as pipeline:
            for name, session_id, arguments in calls:
                state = _state(session_id)
                pipeline.evalsha(self._digests[name], 2, state, f"{state}:seqs", *arguments)
            return await pipeline.execute()


@asynccontextmanager
async def connected(url: str, worker: str, lines: LineBudget) -> AsyncIterator[RedisGateway]:
    """A link for as long as it holds. Raises what is in `LINK_ERRORS` when there is none to be had.

    `lines` says how often it logs that something in the stream could not be read.
    """
    # The library would try a command again that may have been done the first time.
    client = Redis.from_url(
        url,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=CONNECT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )
    database = client.connection_pool.connection_kwargs.get("db") or 0
    stream = client.pubsub()
    try:
        # Publishing knows no databases, so that the channel has to.
        link = RedisGateway(client, stream, worker, f"leaderboard:stream:{database}", lines)
        await link.begin()
        yield link
    finally:
        with suppress(*LINK_ERRORS):
            async with asyncio.timeout(ANSWER_SECONDS):
                await stream.aclose()  # type: ignore[no-untyped-call]
                await client.aclose()


def applied(message: Message, text: bytes) -> tuple[str, Applied]:
    """A `batch` message of the stream: the session, and what was applied to it."""
    _, worker, session_id, epoch, seq, since, version, updates, repeated = message
    return session_id, Applied(worker, seq, since, Stamp(epoch, version, updates), dict(repeated), text)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _state(session_id: str) -> str:
    return f"leaderboard:{{{session_id}}}"


def _reading(answer: Sequence[Any], read: Callable[[bytes], tuple[Message, bytes] | None]) -> SessionSnapshot:
    epoch, generation, version, updates, seqs, names, rows, missed = answer
    points = {worker: {user: int(sum_) for user, sum_ in _pairs(row).items()} for worker, row in _pairs(rows).items()}
    return SessionSnapshot(
        Stamp(epoch.decode(), int(version), int(updates)),
        int(generation),
        {worker: WorkerRow(int(seq), points[worker]) for worker, seq in _pairs(seqs).items()},
        {user: name.decode() for user, name in _pairs(names).items()},
        [applied(*readable)[1] for readable in map(read, missed) if readable is not None],
    )


def _pairs(flat: Sequence[Any]) -> Mapping[str, Any]:
    return {key.decode(): value for key, value in zip(flat[::2], flat[1::2], strict=True)}
