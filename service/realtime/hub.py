"""One session's audience in this process, and when it is told what.

Changes do not make messages, they make the next board due. The first change after quiet goes out
at once; from then on at most one board leaves per tick, however many changes came, and after a
fan-out the loop stays free for at least as long as the fan-out took. A socket that does not keep
up is passed over and gets the latest board when it drains: a board is state, so nothing is owed.

    store ──events──▶ Hubs ──▶ Hub.observe … tick … ──▶ OutgoingBatch ──▶ every writable Member's outlet
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from service.core.protocol import (
    BoardOverwritten,
    LeaderboardUpdate,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantsChanged,
    ScoreChange,
    ServerMessage,
    UserRankUpdate,
    encode,
)
from service.core.session import Arrived, Event, Left, Overwritten, Renamed, Restored, Scored, Session
from service.core.users import appearance_of
from service.metrics import Metrics
from service.server.outbound import OutgoingBatch, Outlet, broadcast
from service.stores.base import Store

MAX_NOTICES = 10  # per session and tick, the rest of a crowd is one message
RANKS_EVERY = 1.0  # seconds between two unasked-for ranks of one player
YIELD_EVERY = 500  # sockets

Clock = Callable[[], float]
log = logging.getLogger("leaderboard.hub")


@dataclass(slots=True, eq=False)
class Member:
    """A socket in a hub; `user_id` is None for a watcher."""

    outlet: Outlet
    user_id: str | None = None
    told: tuple[int, int | None] | None = None  # the score and rank the socket last heard of
    passed_over: bool = False


@dataclass(slots=True)
class _Due:
    """What the next board folds."""

    board: bool = False
    updates: int = 0
    oldest_at: float | None = None
    scored: Scored | None = None
    overwritten: Overwritten | None = None
    notices: list[Arrived | Left] = field(default_factory=list)

    def fold(self, event: Event, session: Session, top: int) -> None:
        match event:
            case Scored():
                self.board = True
                self.updates += 1
                self.scored = event
                if self.oldest_at is None:
                    self.oldest_at = event.received_at
            case Overwritten():
                self.board = True
                self.overwritten = event
            case Restored():
                self.board = True
                self.updates += event.updates
            case Arrived() | Left():
                self.notices.append(event)
                self.board = self.board or session.is_listed(event.user_id, top)
            case Renamed():
                self.board = self.board or session.is_listed(event.user_id, top)


class Hub:
    """The members of one session and the task that shows them the board."""

    def __init__(
        self, session_id: str, *, store: Store, metrics: Metrics, tick: float, top: int, clock: Clock = time.time
    ) -> None:
        self.session_id = session_id
        self._store = store
        self._metrics = metrics
        self._tick = tick
        self._top = top
        self._clock = clock
        self._members: dict[Member, None] = {}
        self._writable: dict[Outlet, Member] = {}
        self._turnover = 0  # counts the changes of `_writable`
        self._due = _Due()
        self._wake = asyncio.Event()
        self._ranks_stale = False
        self._ranks_told_at = float("-inf")
        self._ranks_timer: asyncio.TimerHandle | None = None
        self._turn = 0
        self._snapshot: tuple[object, OutgoingBatch] | None = None
        self._revision = 0
        self._task: asyncio.Task[None] | None = asyncio.create_task(self._run(), name=f"hub {session_id}")
        self._task.add_done_callback(self._ended)

    def __len__(self) -> int:
        return len(self._members)

    def close(self) -> None:
        """End the task; the hub has nobody left to tell."""
        if self._task is not None:
            self._task.cancel()
        if self._ranks_timer is not None:
            self._ranks_timer.cancel()

    # Members

    def add(self, member: Member) -> None:
        """Tell the socket from now on; it should have got a snapshot."""
        self._members[member] = None
        if member.outlet.writable:
            self._writable[member.outlet] = member
            self._turnover += 1
        else:
            member.passed_over = True
        member.outlet.on_writable = lambda writable: self._on_writable(member, writable)

    def remove(self, member: Member) -> None:
        """Tell the socket no more."""
        member.outlet.unsubscribe()
        self._members.pop(member, None)
        self._writable.pop(member.outlet, None)
        self._turnover += 1

    def _on_writable(self, member: Member, writable: bool) -> None:
        self._turnover += 1
        if not writable:
            self._writable.pop(member.outlet, None)
            return
        self._writable[member.outlet] = member
        if member.passed_over:
            member.passed_over = False
            member.outlet.send(self.snapshot(), self._news(member))

    # Events

    def observe(self, session: Session, events: Iterable[Event]) -> None:
        """Take in what happened; whoever has to hear of it will, by the next tick."""
        for event in events:
            self._revision += 1
            self._due.fold(event, session, self._top)
            if isinstance(event, Scored | Overwritten | Restored):
                self._ranks_stale = True
            self._wake.set()

    # Messages

    def snapshot(self) -> OutgoingBatch:
        """The board as it is now, for one socket that needs all of it."""
        session = self._session()
        # During a burst of joins or drains everybody gets the same bytes.
        age = int(self._clock() / self._tick)
        state = (session.epoch, session.version, self._revision, self._store.degraded, age)
        if self._snapshot is None or self._snapshot[0] != state:
            self._snapshot = (state, OutgoingBatch(encode(self._board(session, _Due()))))
        return self._snapshot[1]

    def rank_of(self, member: Member) -> OutgoingBatch:
        """The member's own place, now told."""
        assert member.user_id is not None
        session = self._session()
        score, rank = session.board.score(member.user_id) or 0, session.board.rank(member.user_id)
        member.told = (score, rank)
        return OutgoingBatch(
            encode(
                UserRankUpdate(
                    user_id=member.user_id,
                    score=score,
                    rank=rank,
                    total_players=len(session.board),
                    version=session.version,
                    epoch=session.epoch,
                )
            )
        )

    def _session(self) -> Session:
        return self._store.view(self.session_id, self._clock())

    def _board(self, session: Session, due: _Due) -> LeaderboardUpdate:
        return LeaderboardUpdate(
            version=session.version,
            updates=due.updates,
            epoch=session.epoch,
            sent_at=_milliseconds(self._clock()),
            oldest_at=None if due.oldest_at is None else _milliseconds(due.oldest_at),
            session_id=self.session_id,
            leaderboard=session.entries(self._top),
            total_players=len(session.board),
            total_participants=session.participants,
            last_update=_last_update(due),
            degraded=self._store.degraded,
        )

    # The tick

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            began = time.perf_counter()
            try:
                await self._fan_out()
            except Exception:
                # One bad tick must not silence the session for good; the next one shows everything.
                log.exception("a fan-out of session %s failed", self.session_id)
                self._metrics.background_failures.inc()
                self._due.board = True
            took = time.perf_counter() - began
            await asyncio.sleep(max(self._tick - took, took))

    async def _fan_out(self) -> None:
        due, self._due = self._due, _Due()
        session = self._session()
        texts = [encode(notice) for notice in _notices(due.notices)]
        if due.board:
            texts.append(encode(self._board(session, due)))
        batch = OutgoingBatch(*texts) if texts else None
        tell_ranks = self._ranks_turn()
        if batch is None and not tell_ranks:
            return
        with self._metrics.fanout_seconds.time():
            await self._send(batch, tell_ranks=tell_ranks)
        if due.board:
            self._metrics.boards.inc()

    async def _send(self, batch: OutgoingBatch | None, *, tell_ranks: bool) -> None:
        if batch is not None and len(self._writable) < len(self._members):
            for member in self._members.keys() - self._writable.values():
                self._pass_over(member)
        # Nobody is always the last one: each fan-out begins with another socket.
        outlets = list(self._writable)
        self._turn = (self._turn + YIELD_EVERY // 2 + 1) % max(len(outlets), 1)
        outlets = outlets[self._turn :] + outlets[: self._turn]
        members = dict(self._writable)
        turnover = self._turnover
        for start in range(0, len(outlets), YIELD_EVERY):
            chunk = outlets[start : start + YIELD_EVERY]
            if start:
                await asyncio.sleep(0)
                if self._turnover != turnover:
                    # Some left or stopped keeping up while the loop was free.
                    for gone in (outlet for outlet in chunk if outlet not in self._writable):
                        self._pass_over(members[gone])
                    chunk = [outlet for outlet in chunk if outlet in self._writable]
            if tell_ranks:
                self._send_with_news(batch, chunk)
            elif batch is not None:
                broadcast(chunk, batch)
        self._metrics.deliveries.inc(len(outlets))

    def _send_with_news(self, batch: OutgoingBatch | None, outlets: Iterable[Outlet]) -> None:
        """Send each player's new place, where there is one, in the same write as the batch."""
        for outlet in outlets:
            news = self._news(self._writable[outlet])
            if batch is not None:
                outlet.send(batch, news)
            elif news is not None:
                outlet.send(news)

    def _pass_over(self, member: Member) -> None:
        member.passed_over = True
        self._metrics.passed_over.inc()

    def _ranks_turn(self) -> bool:
        """Whether players whose place changed are told in this fan-out; if not yet, they will be in time."""
        if not self._ranks_stale:
            return False
        loop = asyncio.get_running_loop()
        now = loop.time()
        next_at = self._ranks_told_at + RANKS_EVERY
        if now < next_at:
            if self._ranks_timer is None:
                self._ranks_timer = loop.call_at(next_at, self._wake.set)
            return False
        if self._ranks_timer is not None:
            self._ranks_timer.cancel()
            self._ranks_timer = None
        self._ranks_stale = False
        self._ranks_told_at = now
        return True

    def _news(self, member: Member) -> OutgoingBatch | None:
        if member.user_id is None:
            return None
        board = self._session().board
        place = (board.score(member.user_id) or 0, board.rank(member.user_id))
        return None if place == member.told else self.rank_of(member)

    def _ended(self, task: asyncio.Task[None]) -> None:
        # A cancelled task holds its last frame, which holds the hub: a cycle, if the hub held the task.
        self._task = None
        if not task.cancelled():
            log.critical("the hub of session %s ended", self.session_id, exc_info=task.exception())


class Hubs:
    """The hubs by session id: one for each session that has an audience in this process."""

    def __init__(self, *, store: Store, metrics: Metrics, tick: float, top: int) -> None:
        self._store = store
        self._metrics = metrics
        self._tick = tick
        self._top = top
        self._hubs: dict[str, Hub] = {}
        store.listener = self.observe

    @property
    def occupied(self) -> Collection[str]:
        """The ids of the sessions somebody plays or watches here."""
        return self._hubs.keys()

    def enter(self, session_id: str, member: Member) -> Hub:
        """Put the member into the session's hub."""
        hub = self._hubs.get(session_id)
        if hub is None:
            hub = self._hubs[session_id] = Hub(
                session_id, store=self._store, metrics=self._metrics, tick=self._tick, top=self._top
            )
        hub.add(member)
        return hub

    def exit(self, hub: Hub, member: Member) -> None:
        """Take the member out; an empty hub ends."""
        hub.remove(member)
        if not hub:
            # Not before the turn is over: a player who moves within the session is back in it by then.
            asyncio.get_running_loop().call_soon(self._end_if_empty, hub)

    def _end_if_empty(self, hub: Hub) -> None:
        if not hub and self._hubs.get(hub.session_id) is hub:
            hub.close()
            del self._hubs[hub.session_id]

    def observe(self, session: Session, events: Iterable[Event]) -> None:
        """The store's listener."""
        hub = self._hubs.get(session.id)
        if hub is not None:
            hub.observe(session, events)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _last_update(due: _Due) -> ScoreChange | BoardOverwritten | None:
    if due.overwritten is not None:
        return BoardOverwritten(kind=due.overwritten.kind, message=due.overwritten.message)
    if due.scored is not None:
        return ScoreChange(
            user_id=due.scored.user_id,
            username=due.scored.username,
            points_earned=due.scored.points,
            new_score=due.scored.new_score,
            old_rank=due.scored.old_rank,
            new_rank=due.scored.new_rank,
        )
    return None


def _notices(events: list[Arrived | Left]) -> list[ServerMessage]:
    """The notices of one tick: the first ones in person, the rest of a crowd as one."""
    notices: list[ServerMessage] = []
    for event in events[:MAX_NOTICES]:
        kind = ParticipantJoined if isinstance(event, Arrived) else ParticipantLeft
        notices.append(
            kind(
                user_id=event.user_id,
                username=event.username,
                avatar=appearance_of(event.user_id).avatar,
                total_participants=event.total_participants,
            )
        )
    crowd = events[MAX_NOTICES:]
    if crowd:
        joined = sum(isinstance(event, Arrived) for event in crowd)
        notices.append(
            ParticipantsChanged(
                joined=joined, left=len(crowd) - joined, total_participants=crowd[-1].total_participants
            )
        )
    return notices
