"""The account at the end: what every player was told, against what is there.

A player's score has to be the sum of the points of all updates that were answered, each counted once.
What may differ is named, counted and bounded: plain updates that lost their connection (once or not at
all, each), and the limits that design.md §4 states.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chaos.swarm import Op, Player, Swarm
from chaos.timeline import Timeline
from chaos.workers import POLL, SESSION, Worker, states_of
from redis.asyncio import Redis

MOST_COMBINATIONS = 1 << 14


@dataclass(slots=True)
class Wrong:
    """A player whose score is not what was answered."""

    user_id: str
    difference: int
    suspects: str

    def __str__(self) -> str:
        return f"{self.user_id} {self.difference:+d}{self.suspects}"


@dataclass(slots=True)
class Account:
    """What was found at the end."""

    converged_after: float | None  # seconds after the last answer; None: not within the limit
    state: str = ""  # in words, where it was not
    lost: list[Wrong] = field(default_factory=list)
    doubled: list[Wrong] = field(default_factory=list)


async def settle(
    workers: Sequence[Worker], redis_url: str, limit: float
) -> tuple[float | None, str, Mapping[str, int]]:
    """Wait until every board is the same as every other and as Redis; seconds it took, and the scores in Redis."""
    began = time.monotonic()
    while True:
        states = await states_of(workers, limit=1000)
        scores = await scores_in_redis(redis_url)
        boards = {(state.status, state.epoch, state.version, state.board) for state in states}
        if (
            len(states) == len(workers)
            and len(boards) == 1
            and states[0].status == "healthy"
            and dict(states[0].board) == scores
        ):
            return time.monotonic() - began, "", scores
        if time.monotonic() - began > limit:
            points = [sum(score for _, score in state.board) for state in states]
            places = [
                (state.status, state.epoch, state.version, total) for state, total in zip(states, points, strict=True)
            ]
            return None, f"workers {places}, Redis {sum(scores.values())}", scores
        await asyncio.sleep(POLL)


async def scores_in_redis(url: str) -> dict[str, int]:
    """The session's board as `redis-cli` shows it."""
    async with Redis.from_url(url, socket_timeout=5, decode_responses=True) as client:
        generation = await client.hget(f"leaderboard:{{{SESSION}}}", "generation") or 1
        rows = await client.zrange(f"leaderboard:{{{SESSION}}}:{generation}", 0, -1, withscores=True)
    return {user_id: int(score) for user_id, score in rows}


def audit(swarm: Swarm, scores: Mapping[str, int], account: Account) -> None:
    """Compare the scores with what was answered."""
    for player in swarm.players:
        wrong = judge(player, scores.get(player.id, 0), excused=swarm.excused, timeline=swarm.timeline)
        if wrong is not None:
            (account.lost if wrong.difference < 0 else account.doubled).append(wrong)


def judge(player: Player, score: int, *, excused: set[Op], timeline: Timeline) -> Wrong | None:
    """What is wrong with the player's score, None when nothing is."""
    counted = [op for op in player.ops if op.answered_at is not None and op not in excused]
    either_way = [op.points for op in player.ops if op.answered_at is None or op in excused]
    difference = score - sum(op.points for op in counted)
    if is_sum_of(difference, [*either_way, *player.unknowable]):
        return None
    return Wrong(player.id, difference, _suspects(counted, difference, timeline))


def is_sum_of(total: int, points: Sequence[int]) -> bool:
    """Whether some of these points, all or none included, add up to the total."""
    possible = {0}
    for one in points:
        possible |= {before + one for before in possible}
        if len(possible) > MOST_COMBINATIONS:
            # Only a control leaves so many; bounds will do for it.
            return 0 <= total <= sum(points)
    return total in possible


def _suspects(counted: Sequence[Op], difference: int, timeline: Timeline) -> str:
    """The updates whose points are the difference: as values are many, mostly the culprit."""
    return "".join(f" [{_story(op, timeline)}]" for op in counted if op.points == abs(difference))


def _story(op: Op, timeline: Timeline) -> str:
    sent = ", ".join(f"{life} at {timeline.at(when)}" for life, when in op.seen_by.items())
    durable = "not durable" if op.durable_at is None else f"durable at {timeline.at(op.durable_at)}"
    return f"{'plain' if op.plain else op.id} sent to {sent}; {durable}"
