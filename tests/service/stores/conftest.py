"""Fixtures: stores over a Redis that a test may break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from stores import SESSION, NewStore, until

from loadtest.target.processes import RedisServer
from service.core.session import SessionRules
from service.metrics import Metrics
from service.stores.redis import RedisStore


@pytest.fixture
def server(start_redis: Callable[..., RedisServer], tmp_path: Path) -> RedisServer:
    """A Redis that keeps its data in a folder."""
    return start_redis(tmp_path)


@pytest.fixture
async def new_store() -> AsyncIterator[NewStore]:
    """Start stores; all of them stop with the test."""
    stores: list[RedisStore] = []

    async def start(server: RedisServer, **options: object) -> RedisStore:
        store = RedisStore(server.url, metrics=Metrics(), **{"rules": SessionRules()} | options)
        stores.append(store)
        await store.start()
        return store

    yield start
    await asyncio.gather(*(store.stop() for store in stores))


@pytest.fixture
async def pair(new_store: NewStore, server: RedisServer) -> tuple[RedisStore, RedisStore]:
    """Two stores in which the user `a` plays."""
    stores = await new_store(server), await new_store(server)
    for store in stores:
        store.join(SESSION, "a", None, 0.0)
    await until(lambda: all(store.get(SESSION).participants == 1 and store.ready for store in stores))
    return stores
