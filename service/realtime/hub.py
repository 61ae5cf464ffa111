"""One session's hub in this process: what happens there becomes boards, at a bounded pace.

Changes do not make messages, they make the next board due. The first change after quiet goes out
at once; from then on at most one board leaves per tick, however many changes came, and after a
fan-out the loop stays free for at least as long as the fan-out took. A socket that does not keep
up is passed over and gets the latest board when it drains: a board is state, so nothing is owed.

    store ──events──▶ Hubs ──▶ Hub.observe … tick … ──▶ OutgoingBatch ──▶ Audience ──▶ every writable outlet
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from service.core.protocol import encode
from service.core.session import Event, Overwritten, Removed, Restored, Scored, Session
from service.metrics import Metrics
from service.realtime.audience import Audience, Member
from service.realtime.pending_changes import PendingChanges, frozen_board, session_stage
from service.realtime.rank_updates import RankPacer
from service.server.outbound import OutgoingBatch
from service.stores.base import Store

Clock = Callable[[], float]
log = logging.getLogger("leaderboard.hub")


class Hub:
    """The audience of one session and the task that sends it the board."""

    def __init__(
        self, session_id: str, *, store: Store, metrics: Metrics, tick: float, top: int, clock: Clock = time.time
    ) -> None:
        self.session_id = session_id
        self._store = store
        self._metrics = metrics
        self._tick = tick
        self._top = top
        self._clock = clock
        self._audience = Audience(metrics)
        self._changes = PendingChanges()
        self._revision = 0  # counts the events
        self._snapshot: tuple[object, OutgoingBatch] | None = None
        self._frozen = self._session().host.frozen is not None  # whether boards are held back
        self._wake = asyncio.Event()
        self._rank_pacer = RankPacer(self._wake.set)
        self._task: asyncio.Task[None] | None = asyncio.create_task(self._run(), name=f"hub {session_id}")
        self._task.add_done_callback(self._ended)

    def __len__(self) -> int:
        return len(self._audience)

    def close(self) -> None:
        """End the task; the hub has no members left."""
        if self._task is not None:
            self._task.cancel()
        self._rank_pacer.close()

    # Members

    def add(self, member: Member) -> None:
        """Send the member every board from now on; `welcome` sends the current one."""
        self._audience.add(member, self._catch_up)

    def remove(self, member: Member) -> None:
        """Send the member no more."""
        self._audience.remove(member)

    def welcome(self, member: Member) -> None:
        """Send the member the current board and, when it plays, its own rank."""
        session = self._session()
        member.outlet.send(self._snapshot_of(session), member.own_rank(session))

    def _catch_up(self, member: Member) -> None:
        """Send the current board to a member that was passed over, and its own rank where that changed."""
        session = self._session()
        member.outlet.send(self._snapshot_of(session), member.changed_rank(session))

    # Events

    def observe(self, session: Session, events: Iterable[Event]) -> None:
        """Take in what happened; it goes out by the next tick."""
        for event in events:
            self._revision += 1
            self._changes.fold(event, session, self._top)
            if isinstance(event, Scored | Overwritten | Restored):
                self._rank_pacer.scores_changed()
            if isinstance(event, Removed):
                self._tell_removed(event.user_id)
            self._wake.set()

    def _tell_removed(self, user_id: str) -> None:
        # Not within the turn: the sockets leave the audience.
        for member in self._audience.playing(user_id):
            if member.on_removed is not None:
                asyncio.get_running_loop().call_soon(member.on_removed)

    # Boards

    def _session(self) -> Session:
        return self._store.view(self.session_id, self._clock())

    def _snapshot_of(self, session: Session) -> OutgoingBatch:
        """The current board, for one socket that needs all of it."""
        # During a burst of joins or drains everybody gets the same bytes.
        age = int(self._clock() / self._tick)
        state = (session.epoch, session.version, self._revision, self._store.degraded, age)
        if self._snapshot is None or self._snapshot[0] != state:
            texts = [self._board(session, PendingChanges())]
            stage = session_stage(session)
            if stage.locked or stage.frozen or stage.podium:
                texts.append(encode(stage))
            self._snapshot = (state, OutgoingBatch(*texts))
        return self._snapshot[1]

    def _board(self, session: Session, changes: PendingChanges) -> bytes:
        frozen = session.host.frozen
        if frozen is not None:
            return encode(frozen_board(session, frozen, sent_at=self._clock(), degraded=self._store.degraded))
        return encode(
            changes.leaderboard_update(session, top=self._top, sent_at=self._clock(), degraded=self._store.degraded)
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
                log.exception(
                    "a fan-out of session %s failed",
                    self.session_id,
                    extra={"event": "fan-out-failed", "session": self.session_id},
                )
                self._metrics.background_failures.inc()
                self._changes.board = True
            took = time.perf_counter() - began
            await asyncio.sleep(max(self._tick - took, took))

    async def _fan_out(self) -> None:
        changes, self._changes = self._changes, PendingChanges()
        session = self._session()
        texts = [encode(notice) for notice in changes.participant_notices()]
        if changes.stage:
            texts.append(encode(session_stage(session)))
        sends_board = self._is_board_due(session, changes)
        if sends_board:
            texts.append(self._board(session, changes))
        batch = OutgoingBatch(*texts) if texts else None
        ranks_of = session if self._rank_pacer.take_turn() else None
        if batch is None and ranks_of is None:
            return
        with self._metrics.fanout.seconds.time():
            await self._audience.send(batch, ranks_of)
        if sends_board:
            self._metrics.fanout.boards.inc()
        if changes.oldest_at is not None and not self._frozen:
            # The clocks of two workers may differ.
            self._metrics.fanout.update_to_board_seconds.observe(max(0.0, self._clock() - changes.oldest_at))

    def _is_board_due(self, session: Session, changes: PendingChanges) -> bool:
        """Whether a board goes out. While it is frozen none does, and what is new waits for the reveal.

        Who had not been sent the last board before it was frozen is sent the frozen one.
        """
        was_frozen, self._frozen = self._frozen, session.host.frozen is not None
        if self._frozen:
            self._changes = changes.held_back()
            return changes.board and not was_frozen
        return changes.board or was_frozen

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
