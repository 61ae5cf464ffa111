"""Who may play as whom, over Redis: two workers agree, while Redis is there, and after it was away."""

from __future__ import annotations

import asyncio

import pytest
import redis
from stores import SESSION, agreed, confirmed, until, wipe

from service.core.errors import ErrorCode, Refused
from service.core.player_claim import Claim, connection_holder, secret_holder
from service.core.worker_presence import SILENCE
from service.stores import redis_claims
from service.stores.redis import RedisStore
from service.stores.redis_gateway import FORMAT

pytestmark = pytest.mark.starts_process
HERS, HIS = "secret-of-the-first", "secret-of-the-second"


def holder_in(server, user: str = "u") -> str | None:
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        return client.hget(f"leaderboard:{{{SESSION}}}:holders", user)


def keys_in(server) -> set[str]:
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        return set(client.keys("*"))


async def claim(store: RedisStore, secret: str | None = None, connection: int = 1, user: str = "u") -> bool:
    """Whether the claim was granted."""
    try:
        await store.claim(Claim(SESSION, user, connection_holder(store.worker, connection), secret), 0.0)
    except Refused as refused:
        assert refused.code is ErrorCode.TAKEN
        return False
    return True


async def test_the_first_is_the_only_one_at_every_worker(pair, server):
    """With the secret from anywhere; without it from nowhere. Redis has its hash, and not the secret."""
    one, two = pair
    assert await claim(one, HERS)
    assert not await claim(two, HIS)
    assert not await claim(two)
    assert not await claim(one, HIS, connection=2)
    assert await claim(two, HERS)
    assert holder_in(server) == secret_holder(SESSION, "u", HERS)


async def test_of_two_at_once_one_is_granted(pair, monkeypatch):
    """Whichever Redis heard first, for many users at a time."""
    monkeypatch.setattr(redis_claims, "ANSWER_SECONDS", 20)  # on a busy machine four hundred take longer than 0.3 s
    one, two = pair
    users = [f"u{number}" for number in range(200)]
    granted = await asyncio.gather(
        *(claim(one, HERS, user=user) for user in users), *(claim(two, HIS, user=user) for user in users)
    )
    assert [first + second for first, second in zip(granted[:200], granted[200:], strict=True)] == [1] * 200


async def test_a_connection_without_a_secret_holds_until_it_ends(pair):
    """Then the next has the user at once, at the other worker too."""
    one, two = pair
    assert await claim(one)
    assert not await claim(two, HIS)
    one.release(SESSION, "u", connection_holder(one.worker, 1))
    assert await claim(two, HIS)
    assert not await claim(one)


async def test_a_connection_may_add_its_secret(pair):
    """And has the user for good from then on."""
    one, two = pair
    assert await claim(one)
    assert await claim(one, HERS)
    one.release(SESSION, "u", connection_holder(one.worker, 1))
    assert not await claim(two, HIS)
    assert await claim(two, HERS)


async def test_a_worker_that_is_gone_holds_nobody(pair, monkeypatch):
    """A connection that ended with its worker could not be released; it counts until the worker is missed."""
    one, two = pair
    assert await claim(two, user="v")  # so that the session is known there
    with redis.Redis.from_url(two._connection.url) as client:
        client.hset(f"leaderboard:{{{SESSION}}}:holders", "u", connection_holder("a-dead-worker", 3))
    assert not await claim(one, HERS)
    monkeypatch.setattr(one._presence, "_listening_since", one._presence._listening_since - SILENCE)
    assert await claim(one, HERS)


@pytest.mark.parametrize("odd", [b"nobody", b"\xff\xfe"])
async def test_an_odd_holder_is_somebody_else(pair, server, odd):
    """Whoever reaches Redis can write there: the user is taken, once and for all, and nothing is asked again."""
    one, _ = pair
    await confirmed(one, 1)
    with redis.Redis.from_url(server.url) as client:
        client.hset(f"leaderboard:{{{SESSION}}}:holders", "u", odd)
        assert not await claim(one, HERS)
        assert not await claim(one, HERS)
        assert one._claims.is_settled(SESSION)
        assert client.hget(f"leaderboard:{{{SESSION}}}:holders", "u") == odd
    assert (await confirmed(one, 1)).score == 2


async def test_while_redis_is_away_a_worker_decides_by_what_it_knows(pair, server):
    """Who was there stays; who is new is granted here, and at the other worker after Redis is back."""
    one, two = pair
    await confirmed(one, 1)
    assert await claim(one, HERS)
    server.stop()
    await until(lambda: one.degraded and two.degraded)
    assert not await claim(one, HIS)
    assert await claim(one, HERS, user="v")
    server.start()
    await agreed(one, two)
    await until(lambda: holder_in(server, "v") is not None)
    assert not await claim(two, HIS, user="v")
    assert not await claim(two, HIS)


async def test_an_emptied_redis_gets_the_holders_back(pair, server):
    """From whoever knows them, as it does the points."""
    one, two = pair
    await confirmed(one, 5)
    assert await claim(one, HERS)
    wipe(server)
    await confirmed(two, 1)
    await agreed(one, two)
    await until(lambda: holder_in(server) is not None)
    assert not await claim(two, HIS)


async def test_holders_end_with_the_session(new_store, server):
    """No key of it is left, and whoever comes next is the first again."""
    one = await new_store(server)
    assert await claim(one, HERS)
    one.sweep(1e9)
    assert one.get(SESSION) is None
    await until(lambda: keys_in(server) == {"leaderboard:format"})
    assert await claim(one, HIS)


async def test_a_slow_redis_keeps_nobody_waiting(pair, server):
    """A claim is decided here after a third of a second; Redis hears of it when it can."""
    one, two = pair
    await confirmed(one, 1)
    server.freeze()
    assert await claim(one, HERS)
    server.thaw()
    await until(lambda: holder_in(server) is not None)
    assert not await claim(two, HIS)


async def test_a_connection_that_ends_while_its_claim_is_on_its_way_holds_nothing(pair, server):
    """Whether Redis hears of the claim or of its end first."""
    one, two = pair
    await confirmed(one, 1)
    server.freeze()
    claiming = asyncio.create_task(claim(one))
    await asyncio.sleep(0)
    claiming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await claiming
    one.release(SESSION, "u", connection_holder(one.worker, 1))
    server.thaw()
    await agreed(one, two)
    await until(lambda: one._claims.is_settled(SESSION) and holder_in(server) is None)
    assert await claim(two, HIS)


async def test_data_of_a_newer_format_is_left_alone(server, new_store, caplog):
    """The worker says so, serves from its own memory, and goes on when the database is one that it can read."""
    with redis.Redis.from_url(server.url) as client:
        client.set("leaderboard:format", FORMAT + 1)
        with caplog.at_level("INFO"):
            store = await new_store(server)
        assert store.degraded
        assert f"expected data of format {FORMAT} or lower, got format {FORMAT + 1}" in caplog.text
        store.join(SESSION, "a", None, 0.0)
        assert client.keys("*") == [b"leaderboard:format"]
        client.set("leaderboard:format", FORMAT)
    await until(lambda: not store.degraded)
    assert (await confirmed(store, 5)).score == 5
