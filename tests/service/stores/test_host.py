"""What hosts decide, over Redis: it holds at every worker, through outages and restarts."""

from __future__ import annotations

import time

import pytest
import redis
from stores import SESSION, agreed, confirmed, until, wipe

from service.core.errors import Refused
from service.core.host_decisions import HIDDEN, LOCK, PODIUM, about
from service.stores.redis import RedisStore

pytestmark = pytest.mark.starts_process


def kept(server) -> set[str]:
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        return set(client.hkeys(f"leaderboard:{{{SESSION}}}:host"))


def hidden(store: RedisStore, user: str = "a") -> bool:
    session = store.get(SESSION)
    return session is not None and user in session.host.unshown


async def decide(store: RedisStore, **values: object) -> None:
    await store.decide(SESSION, {key.replace("_", ":"): value for key, value in values.items()}, 0.0)


async def test_a_decision_holds_at_every_worker(pair, server):
    """At once where it was made, and as soon as the stream brings it at the others; Redis has it when the call ends."""
    one, two = pair
    await confirmed(one, 5)
    await decide(one, hidden_a=True, lock=["a"])
    assert kept(server) == {"hidden:a", "lock"}
    await until(lambda: hidden(two))
    assert (two.get(SESSION).total("a"), "a" in two.get(SESSION).board) == (5, False)
    with pytest.raises(Refused):
        two.check_join(SESSION, "new")
    await decide(two, hidden_a=False, lock=None)
    await until(lambda: not hidden(one))
    assert one.get(SESSION).board.score("a") == 5
    one.check_join(SESSION, "new")


async def test_a_worker_that_starts_later_follows(pair, server, new_store):
    """Also where nobody is in the session any more, and nothing was scored."""
    one, two = pair
    await decide(one, podium=True)
    for store in (one, two):
        store.leave(SESSION, "a", 0.0)
        await store.stop()
    late = await new_store(server)
    await until(lambda: late.get(SESSION) is not None and late.get(SESSION).host.podium)


async def test_decisions_are_made_while_redis_is_away(pair, server):
    """They hold here at once, and everywhere when it is back; of two on one thing one holds at both."""
    one, two = pair
    await confirmed(one, 5)
    server.stop()
    await until(lambda: one.degraded and two.degraded)
    await decide(one, hidden_a=True, podium=True)
    await decide(two, podium=False, hidden_b=True)
    assert hidden(one)
    assert not hidden(two)
    server.start()
    await agreed(one, two)
    await until(lambda: all(hidden(store) and hidden(store, "b") for store in pair))
    await until(lambda: one.get(SESSION).host.all == two.get(SESSION).host.all)
    await until(lambda: kept(server) == {"hidden:a", "hidden:b", "podium"})
    await until(lambda: all(store._is_confirmed(SESSION) for store in pair))


async def test_a_redis_that_lost_everything_is_told_again(pair, server, new_store):
    """As it is told the scores."""
    one, two = pair
    await confirmed(one, 5)
    await decide(one, hidden_a=True)
    await until(lambda: hidden(two))
    wipe(server)
    await until(lambda: kept(server) == {"hidden:a"})
    await agreed(one, two)
    assert hidden(await new_store(server))


async def test_a_decision_whose_message_was_lost_is_read(pair, server):
    """It moves no version, so the workers look once in a while."""
    one, two = pair
    with redis.Redis.from_url(server.url) as client:
        client.hset(f"leaderboard:{{{SESSION}}}:host", "hidden:a", '[7,"elsewhere",true]')
        client.hset(f"leaderboard:{{{SESSION}}}:host", "lock", "nonsense")
    await until(lambda: hidden(one) and hidden(two))
    await decide(one, hidden_a=False)
    await until(lambda: not hidden(two))
    assert one.get(SESSION).host.all[about(HIDDEN, "a")].turn == 8
    assert LOCK not in one.get(SESSION).host.all


async def test_with_the_session_its_decisions_end(pair, server):
    """In Redis, too: the next session of that name begins open."""
    one, two = pair
    await decide(one, podium=True)
    await until(lambda: PODIUM in two.get(SESSION).host.all)
    for store in pair:
        store.leave(SESSION, "a", 0.0)
    await until(lambda: not one.get(SESSION).participants and not two.get(SESSION).participants)

    def ended() -> bool:
        for store in pair:
            store.sweep(time.time() + 1e6)
        return all(store.get(SESSION) is None for store in pair)

    await until(ended)
    await until(lambda: kept(server) == set())
