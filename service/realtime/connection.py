"""One socket: what comes in, what it means, and when it has been too much.

    frame → size → rate → decode → the store → an answer

Everything a client can do wrong gets exactly one `error` and changes nothing; only a long
unbroken row of it ends the connection.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from service.core.errors import CloseCode, ErrorCode, Failure, RateLimited, Refused, WrongFrame
from service.core.protocol import (
    DEFAULT_SESSION,
    MAX_FRAME,
    ClientMessage,
    ErrorMessage,
    JoinDemo,
    LeaveDemo,
    Ping,
    Pong,
    ScoreAck,
    UpdateScore,
    WatchDemo,
    decode,
    encode,
    op_id_of,
)
from service.core.rate_limit import Patience, TokenBucket
from service.core.session import Answer
from service.metrics import Metrics
from service.realtime.audience import Member
from service.realtime.hub import Hub, Hubs
from service.realtime.player_claims import ConnectionClaims
from service.realtime.refusal_log import RefusalLog
from service.realtime.session_openings import ConnectionOpenings, SessionOpenings
from service.server.outbound import EXTENSION, AsgiOutlet, OutgoingBatch, Outlet
from service.stores.base import Store

INTERNAL_ERROR: Final = 1011  # RFC 6455, section 7.4.1
log = logging.getLogger("leaderboard.connection")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may do: frames a second and at once, most points of an update, new sessions a minute."""

    rate: float
    burst: int
    max_points: int
    session_rate: int
    address_session_rate: int  # for all connections from one address
    locked_players: bool = False  # whether who first plays as a user is the only one who can


class Connections:
    """The open sockets of this process: their number, their users, and what they share."""

    def __init__(self, *, store: Store, hubs: Hubs, metrics: Metrics, limits: Limits, max_connections: int) -> None:
        self.store = store
        self.hubs = hubs
        self.metrics = metrics
        self.limits = limits
        self.opened = 0  # connections ever
        self.refusals = RefusalLog()
        self.session_openings = SessionOpenings(limits.session_rate, limits.address_session_rate)
        self._max = max_connections
        self._open: set[Connection] = set()
        self._plain_seen = False
        metrics.connections.set_function(lambda: len(self._open))
        metrics.users.set_function(lambda: self.users)

    def __len__(self) -> int:
        return len(self._open)

    @property
    def users(self) -> int:
        """Distinct users who play here."""
        return len({one.user_id for one in self._open if one.user_id is not None})

    async def serve(self, socket: WebSocket) -> None:
        """Accept the socket and stay with it to its end."""
        await socket.accept()
        if len(self._open) >= self._max:
            self.metrics.closed("server", CloseCode.FULL)
            await socket.close(CloseCode.FULL, f"full: at most {self._max} connections")
            return
        outlet: Outlet | None = socket.scope.get("extensions", {}).get(EXTENSION)
        if outlet is None:
            self._say_once_that_it_is_plain()
            outlet = AsgiOutlet(socket)
        self.opened += 1
        connection = Connection(socket, outlet, self)
        self._open.add(connection)
        code: int | None = None
        try:
            code = await connection.run()
        finally:
            self._open.discard(connection)
            self._count_close(by_us=outlet.ended_with, by_client=code)

    def _count_close(self, *, by_us: int | None, by_client: int | None) -> None:
        """Count a connection that ended; one that neither side closed ended by an error of ours."""
        if by_us is None and by_client is not None:
            self.metrics.closed("client", by_client)
        else:
            self.metrics.closed("server", INTERNAL_ERROR if by_us is None else by_us)

    def _say_once_that_it_is_plain(self) -> None:
        if not self._plain_seen:
            self._plain_seen = True
            log.warning(
                "serving without the fan-out extension: boards cost more CPU and a stuck reader is ended by the "
                "ping time-out only; start with `python -m service` to make it fast",
                extra={"event": "plain-server"},
            )


class Connection:
    """A socket that plays, watches, or does neither yet."""

    def __init__(self, socket: WebSocket, outlet: Outlet, shared: Connections) -> None:
        self._socket = socket
        self._outlet = outlet
        self._store = shared.store
        self._hubs = shared.hubs
        self._metrics = shared.metrics
        self._refusals = shared.refusals
        self._limits = shared.limits
        self._bucket = TokenBucket(shared.limits.rate, shared.limits.burst, time.monotonic())
        self._patience = Patience()
        self._session_openings = shared.session_openings
        self._claims = ConnectionClaims(shared.store, shared.opened) if shared.limits.locked_players else None
        self._hub: Hub | None = None
        self._member: Member | None = None

    @property
    def user_id(self) -> str | None:
        """The user this socket plays, None when it does not."""
        return None if self._member is None else self._member.user_id

    async def run(self) -> int:
        """Read until the socket ends; return the code it ended with."""
        try:
            while True:
                message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    return int(message.get("code") or CloseCode.NORMAL)
                verdict = await self._take(message)
                if verdict is not None:
                    self._leave()
                    await self._outlet.close(verdict)
                    return verdict
        except WebSocketDisconnect as gone:
            return gone.code
        finally:
            self._outlet.end()
            self._leave()
            if self._claims is not None:
                self._claims.release()

    @cached_property
    def _openings(self) -> ConnectionOpenings:
        """Made with the first session that the connection opens; most open none."""
        client = self._socket.client
        return ConnectionOpenings(self._session_openings, None if client is None else client.host)

    # What comes in

    async def _take(self, message: Message) -> CloseCode | None:
        """Deal with one frame; the code to close with when it was the one too many."""
        now = time.monotonic()
        text = message.get("text")
        # A character is at most four bytes, so most frames need no second look.
        if isinstance(text, str) and 4 * len(text) > MAX_FRAME and len(text.encode()) > MAX_FRAME:
            return CloseCode.TOO_LARGE
        try:
            wait = self._bucket.take(now)
            if wait:
                raise self._too_fast(text, wait)
            if not isinstance(text, str):
                self._metrics.frames.labels("binary").inc()
                if len(message.get("bytes") or b"") > MAX_FRAME:
                    return CloseCode.TOO_LARGE
                raise WrongFrame(ErrorCode.BAD_MESSAGE, "expected a text frame, got a binary one")
            await self._dispatch(decode(text, self._limits.max_points))
        except Failure as failure:
            self._tell(failure)
            self._note(failure, now)
            if isinstance(failure, RateLimited):
                return CloseCode.TOO_FAST if self._patience.limited(now) else None
            if isinstance(failure, WrongFrame):
                return CloseCode.WRONG_FRAMES if self._patience.wrong() else None
        self._patience.right()
        return None

    async def _dispatch(self, message: ClientMessage) -> None:
        self._metrics.frames.labels(message.type).inc()
        match message:
            case UpdateScore():
                self._score(message)
            case JoinDemo():
                await self._join(message)
            case WatchDemo():
                self._watch(message)
            case LeaveDemo():
                self._leave()
            case Ping():
                self._outlet.send(OutgoingBatch(encode(Pong(t=message.t, server_time=round(time.time() * 1000, 3)))))

    async def _join(self, message: JoinDemo) -> None:
        same = self._hub is not None and (self._hub.session_id, self.user_id) == (message.session_id, message.user_id)
        # Asked before anything changes, so that who is refused goes on playing.
        if not same:
            self._store.check_join(message.session_id, message.user_id)
            self._open(message.session_id)
        if self._claims is not None:
            await self._claims.make(message)
            if not same:
                self._store.check_join(message.session_id, message.user_id)  # the host may have decided meanwhile
        if same:
            self._store.rename(message.session_id, message.user_id, message.given_name)
        else:
            self._leave()
            self._member = Member(self._outlet, message.user_id, self._removed)
            self._hub = self._hubs.enter(message.session_id, self._member)
            self._store.join(message.session_id, message.user_id, message.given_name, time.time())
        assert self._hub is not None
        assert self._member is not None
        self._hub.welcome(self._member)

    def _open(self, session_id: str) -> None:
        """Count the session if it comes into being now. Raises `Refused` if that is one too many."""
        # The default session has a place in every service, so that it takes nobody else's.
        if session_id != DEFAULT_SESSION and self._store.get(session_id) is None:
            now = time.monotonic()
            self._openings.check(now)
            self._openings.add(now)

    def _watch(self, message: WatchDemo) -> None:
        self._leave()
        self._store.watch(message.session_id)
        self._member = Member(self._outlet)
        self._hub = self._hubs.enter(message.session_id, self._member)
        self._hub.welcome(self._member)

    def _removed(self) -> None:
        """The host has taken the player out: the socket watches from now on."""
        hub, member = self._hub, self._member
        if hub is None or member is None or member.user_id is None:
            return  # it left by itself meanwhile
        self._tell(
            Refused(
                ErrorCode.REMOVED,
                f"the host removed {member.user_id} from {hub.session_id}: this connection only watches now",
            )
        )
        self._watch(WatchDemo(session_id=hub.session_id))

    def _leave(self) -> None:
        if self._hub is None or self._member is None:
            return
        hub, member, self._hub, self._member = self._hub, self._member, None, None
        if member.user_id is None:
            self._store.unwatch(hub.session_id)
        else:
            self._store.leave(hub.session_id, member.user_id, time.time())
        self._hubs.exit(hub, member)

    def _score(self, message: UpdateScore) -> None:
        hub, member = self._hub, self._member
        if hub is None or member is None or member.user_id is None:
            raise WrongFrame(
                ErrorCode.NOT_JOINED, "expected join-demo before update-score, got none", op_id=message.given_op_id
            )
        self._store.update(
            hub.session_id,
            member.user_id,
            message.points,
            message.given_op_id,
            time.time(),
            lambda answer: self._answer(answer, member),
        )

    # What goes out

    def _answer(self, answer: Answer, member: Member) -> None:
        self._metrics.updates.inc()
        member.rank_was_sent(answer.score, answer.rank)
        self._outlet.send(
            OutgoingBatch(
                encode(
                    ScoreAck(
                        user_id=answer.user_id,
                        score=answer.score,
                        rank=answer.rank,
                        total_players=answer.total_players,
                        version=answer.version,
                        epoch=answer.epoch,
                        op_id=answer.op_id,
                        points=answer.points,
                        durable=answer.durable,
                    )
                )
            )
        )

    def _too_fast(self, text: object, wait: float) -> RateLimited:
        return RateLimited(
            f"expected at most {self._limits.rate:g} frames a second (burst {self._limits.burst}), got more; "
            f"try again in {wait:.3f} s",
            retry_after=round(wait, 3),
            op_id=op_id_of(text) if isinstance(text, str) else None,
        )

    def _note(self, failure: Failure, now: float) -> None:
        session_id = None if self._hub is None else self._hub.session_id
        self._refusals.note(failure, session_id, self.user_id, now)

    def _tell(self, failure: Failure) -> None:
        self._metrics.errors.labels(failure.code).inc()
        self._outlet.send(
            OutgoingBatch(
                encode(
                    ErrorMessage(
                        code=failure.code,
                        message=failure.message,
                        op_id=failure.op_id,
                        retry_after=failure.retry_after,
                    )
                )
            )
        )
