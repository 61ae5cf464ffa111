"""The sockets of one session in this process, and sending to all of them.

Sending never waits for a socket: one that does not keep up is passed over, and catches up when it drains.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from service.core.session import Session
from service.metrics import Metrics
from service.realtime.rank_updates import OwnRank, own_rank, rank_update
from service.server.outbound import OutgoingBatch, Outlet, broadcast

YIELD_EVERY = 500  # sockets


@dataclass(slots=True, eq=False)
class Member:
    """A socket that plays or watches a session; `user_id` is None for a watcher.

    `on_removed` is called when the host takes the player out of the session.
    """

    outlet: Outlet
    user_id: str | None = None
    on_removed: Callable[[], None] | None = None
    passed_over: bool = False
    _sent_rank: OwnRank | None = field(default=None, init=False)

    def rank_was_sent(self, score: int, rank: int | None) -> None:
        """Remember what the socket was sent as its player's own score and rank."""
        self._sent_rank = (score, rank)

    def own_rank(self, session: Session) -> OutgoingBatch | None:
        """The player's own rank, which counts as sent; None for a watcher."""
        self._sent_rank = None
        return self.changed_rank(session)

    def changed_rank(self, session: Session) -> OutgoingBatch | None:
        """The player's own rank, which counts as sent, where it is not the one sent last; None for a watcher."""
        if self.user_id is None:
            return None
        own = own_rank(session, self.user_id)
        if own == self._sent_rank:
            return None
        self._sent_rank = own
        return rank_update(session, self.user_id, own)


class Audience:
    """The members of one session, and which of them can take a message now."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._members: dict[Member, None] = {}
        self._writable: dict[Outlet, Member] = {}
        self._turnover = 0  # counts the changes of `_writable`
        self._turn = 0  # the position the next fan-out begins at

    def __len__(self) -> int:
        return len(self._members)

    def playing(self, user_id: str) -> list[Member]:
        """The members who play as the user."""
        return [member for member in self._members if member.user_id == user_id]

    def add(self, member: Member, catch_up: Callable[[Member], None]) -> None:
        """Send to the member from now on; `catch_up` is called when it drains after it was passed over."""
        self._members[member] = None
        if member.outlet.writable:
            self._writable[member.outlet] = member
            self._turnover += 1
        else:
            member.passed_over = True
        # Kept by the outlet alone, so that audience and hub are freed by reference counting.
        member.outlet.on_writable = lambda writable: self._on_writable(member, writable, catch_up)

    def remove(self, member: Member) -> None:
        """Send to the member no more."""
        member.outlet.unsubscribe()
        self._members.pop(member, None)
        self._writable.pop(member.outlet, None)
        self._turnover += 1

    async def send(self, batch: OutgoingBatch | None, ranks_of: Session | None) -> None:
        """Send the batch to every member that keeps up and, with `ranks_of`, each player's changed rank.

        Yields to the loop after every `YIELD_EVERY` sockets.
        """
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
            if ranks_of is not None:
                self._send_with_ranks(batch, chunk, ranks_of)
            elif batch is not None:
                broadcast(chunk, batch)
        self._metrics.fanout.deliveries.inc(len(outlets))

    def _send_with_ranks(self, batch: OutgoingBatch | None, outlets: Iterable[Outlet], session: Session) -> None:
        """Send each player's changed rank in the same write as the batch."""
        for outlet in outlets:
            rank = self._writable[outlet].changed_rank(session)
            if batch is not None:
                outlet.send(batch, rank)
            elif rank is not None:
                outlet.send(rank)

    def _on_writable(self, member: Member, writable: bool, catch_up: Callable[[Member], None]) -> None:
        self._turnover += 1
        if not writable:
            self._writable.pop(member.outlet, None)
            return
        self._writable[member.outlet] = member
        if member.passed_over:
            member.passed_over = False
            catch_up(member)

    def _pass_over(self, member: Member) -> None:
        member.passed_over = True
        self._metrics.fanout.passed_over.inc()
