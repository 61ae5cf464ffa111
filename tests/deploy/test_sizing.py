"""The figures of docs/operating.md for memory; `nox -s deploy -- tests/deploy/test_sizing.py -s` prints them."""

from __future__ import annotations

import asyncio
import gc
import re
import secrets
import tracemalloc
from collections.abc import Awaitable, Callable

import pytest
import redis
from deploy.deploy_files import DEPLOY

from loadtest.target.processes import RedisServer
from service.core.player_claim import Claim, connection_holder
from service.core.session import Session, SessionRules
from service.metrics import Metrics
from service.stores.redis import RedisStore

OPERATING = (DEPLOY.parent / "operating.md").read_text()
SESSION, HOST = "quiz", "host"
BATCH = 500  # updates on their way at once
CLOSE = 0.25  # of a figure, by which it may be off


def documented(what: str) -> list[int]:
    """The bytes in the table's row: in a worker alone, in one over Redis, in Redis."""
    (row,) = re.findall(rf"^\| {what}[^|]* \| (\d+) B \| (\d+) B \| (\d+) B \|", OPERATING, re.MULTILINE)
    return [int(figure) for figure in row]


def first_claim(number: int) -> Claim:
    """The claim to a user whom nobody has played, with a secret as long as the page's."""
    return Claim(SESSION, f"guest-{number:06}", connection_holder("w", number), secrets.token_hex(8))


def is_close(found: float, figure: float) -> bool:
    return abs(found - figure) <= CLOSE * figure


def new_op() -> str:
    """An op id as long as the page's."""
    return secrets.token_urlsafe(12)


def test_a_player_and_an_op_id_take_what_the_table_says() -> None:
    """In a process without Redis."""
    session = Session(SESSION, "e", SessionRules(), 0.0)
    session.join(HOST, None)

    def ranked() -> None:
        for number in range(2000):
            user = f"player-{number:06}"
            session.join(user, f"Player number {number}")
            session.score(user, number % 100, None, 0.0)
            session.leave(user, 0.0)

    def remembered() -> None:
        for _ in range(20_000):
            session.score(HOST, 1, new_op(), 0.0)

    def held() -> None:
        for number in range(5000):
            session.grant(first_claim(number))

    for what, act, count in (
        ("a ranked player", ranked, 2000), ("an op id", remembered, 20_000), ("a held user", held, 5000),
    ):  # fmt: skip
        each = traced(act) / count
        print(f"{what}: {each:.0f} B")  # noqa: T201 - figures for `pytest -s`
        assert is_close(each, documented(what)[0])


def traced(act: Callable[[], None]) -> int:
    """The bytes that are kept after it."""
    tracemalloc.start()
    act()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return kept


@pytest.mark.long
@pytest.mark.starts_process
async def test_they_take_what_the_table_says_over_redis() -> None:
    """In a worker, and in Redis."""
    with RedisServer() as server, redis.Redis.from_url(server.url) as client:
        store = RedisStore(server.url, rules=SessionRules(), metrics=Metrics())
        await store.start()
        store.join(SESSION, HOST, None, 0.0)

        async def ranked() -> None:
            for first in range(0, 5000, BATCH):
                users = [f"player-{number:06}" for number in range(first, first + BATCH)]
                for user in users:
                    store.join(SESSION, user, f"Player {user}", 0.0)
                await confirmed(store, [(user, None) for user in users])
                for user in users:
                    store.leave(SESSION, user, 0.0)

        async def remembered() -> None:
            for _ in range(0, 40_000, BATCH):
                await confirmed(store, [(HOST, new_op()) for _ in range(BATCH)])

        async def held() -> None:
            for first in range(0, 5000, BATCH):
                await asyncio.gather(*(store.claim(first_claim(number), 0.0) for number in range(first, first + BATCH)))

        await confirmed(store, [(HOST, new_op())])
        for what, act, count in (
            ("a ranked player", ranked, 5000), ("an op id", remembered, 40_000), ("a held user", held, 5000),
        ):  # fmt: skip
            worker, server_side = await kept(act, client)
            print(f"{what}: {worker / count:.0f} B, in Redis {server_side / count:.0f} B")  # noqa: T201 - as above
            _, over_redis, in_redis = documented(what)
            assert is_close(worker / count, over_redis)
            assert is_close(server_side / count, in_redis)
        await store.stop()


async def confirmed(store: RedisStore, updates: list[tuple[str, str | None]]) -> None:
    """A point for each, until Redis has all."""
    answers: list[bool] = []
    for user, op_id in updates:
        store.update(SESSION, user, 1, op_id, 0.0, lambda answer: answers.append(answer.durable))
    async with asyncio.timeout(30):
        while answers.count(True) < len(updates):
            await asyncio.sleep(0.005)


async def kept(act: Callable[[], Awaitable[None]], client: redis.Redis) -> tuple[int, int]:
    """The bytes that are kept after it, here and in Redis."""
    before = client.info("memory")["used_memory"]
    tracemalloc.start()
    await act()
    gc.collect()
    here, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return here, client.info("memory")["used_memory"] - before
