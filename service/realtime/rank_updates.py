"""A player's own rank: the message that carries it, and how often it goes out unasked.

Everybody gets the board; only a player's own socket gets the player's rank, in the same write as a board
where possible. After an update the answer carries it. When others move the player, it goes out at most
once in `RANKS_EVERY` seconds, and only where it differs from what the socket was last sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from service.core.protocol import UserRankUpdate, encode
from service.core.session import Session
from service.server.outbound import OutgoingBatch

RANKS_EVERY = 1.0  # seconds between two unasked-for ranks of one player

OwnRank = tuple[int, int | None]  # a player's score and rank, None while unranked


def own_rank(session: Session, user_id: str) -> OwnRank:
    """The player's score and rank now."""
    return session.total(user_id) or 0, session.board.rank(user_id)


def rank_update(session: Session, user_id: str, own: OwnRank) -> OutgoingBatch:
    """The message with the player's own rank."""
    score, rank = own
    return OutgoingBatch(
        encode(
            UserRankUpdate(
                user_id=user_id,
                score=score,
                rank=rank,
                total_players=len(session.board),
                version=session.version,
                epoch=session.epoch,
            )
        )
    )


class RankPacer:
    """When ranks go out unasked: after a change of scores, at most once in `RANKS_EVERY` seconds.

    `wake` is called when ranks that had to wait may go out.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._stale = False  # whether scores changed since the last turn
        self._turn_at = float("-inf")  # the loop's time of the last turn
        self._timer: asyncio.TimerHandle | None = None

    def scores_changed(self) -> None:
        """Ranks may differ from what was sent."""
        self._stale = True

    def take_turn(self) -> bool:
        """Whether ranks go out now. When it is too early for those that changed, `wake` is called in time."""
        if not self._stale:
            return False
        loop = asyncio.get_running_loop()
        now = loop.time()
        next_at = self._turn_at + RANKS_EVERY
        if now < next_at:
            if self._timer is None:
                self._timer = loop.call_at(next_at, self._wake)
            return False
        self.close()
        self._stale = False
        self._turn_at = now
        return True

    def close(self) -> None:
        """Call `wake` no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
