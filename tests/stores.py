"""Stores over a real Redis for tests: what is sent, and waiting for what has to come of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import redis

from loadtest.target.processes import RedisServer
from service.core.session import Answer
from service.stores.redis import RedisStore

NewStore = Callable[..., Awaitable[RedisStore]]  # a server, and options of the store
SESSION = "S"


async def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait for the condition."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def scores(store: RedisStore) -> dict[str, int]:
    return dict(store.get(SESSION).board.scores)


def state(store: RedisStore) -> tuple[object, ...]:
    session = store.get(SESSION)
    return session.epoch, session.version, dict(session.board.scores)


async def agreed(*stores: RedisStore) -> None:
    """Wait until all show the same and nobody is degraded."""
    await until(lambda: all(not one.degraded and state(one) == state(stores[0]) for one in stores))


def send(store: RedisStore, points: int, op_id: str | None = None, user: str = "a") -> list[Answer]:
    """Update; the answers appear in the list as they come."""
    answers: list[Answer] = []
    store.update(SESSION, user, points, op_id, 0.0, answers.append)
    return answers


async def confirmed(store: RedisStore, points: int, op_id: str | None = None) -> Answer:
    answers = send(store, points, op_id)
    await until(lambda: bool(answers) and answers[-1].durable)
    return answers[-1]


def wipe(server: RedisServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
