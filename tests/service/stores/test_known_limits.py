"""What exact scores over Redis do not cover: each limit that the README states, as it happens."""

from __future__ import annotations

import asyncio

from stores import SESSION, agreed, confirmed, scores, send, until, wipe

from service.core.pn_counter import Populate
from service.core.protocol import MAX_POINTS, MAX_TOTAL
from service.stores.redis import RedisStore
from service.stores.redis_link_state import STOP


async def kill(store: RedisStore) -> None:
    """End it as SIGKILL does: nothing is flushed, nobody is told."""
    store._connection.note(STOP)
    store._connection._task.cancel()
    await asyncio.wait({store._connection._task})
    for session_id in store._shared.ids:
        store._unconfirmed.forget(session_id)


async def plays(store: RedisStore) -> RedisStore:
    store.join(SESSION, "a", None, 0.0)
    await until(lambda: store.get(SESSION).epoch != "" and store._shared[SESSION].synced)
    return store


async def test_a_process_killed_while_redis_is_away_takes_its_undurable_points_along(new_store, server):
    """It had said that they were not durable."""
    one = await plays(await new_store(server))
    await confirmed(one, 5)
    server.stop()
    await until(lambda: one.degraded)
    assert [answer.durable for answer in send(one, 7)] == [False]
    await kill(one)
    server.start()
    two = await plays(await new_store(server))
    assert scores(two) == {"a": 5}


async def test_a_process_killed_before_redis_is_emptied_leaves_what_others_heard(new_store, server):
    """Alone, it leaves nothing; with another that had heard its batches, everything."""
    one, two = await plays(await new_store(server)), await plays(await new_store(server))
    await confirmed(one, 5)
    await agreed(one, two)
    await kill(one)
    wipe(server)
    await until(lambda: two.get(SESSION).version > 0 and not two._shared.unread)
    await confirmed(two, 1)
    assert scores(two) == {"a": 6}
    await kill(two)
    wipe(server)
    three = await plays(await new_store(server))
    assert scores(three) == {}


async def test_boards_differ_while_redis_is_away(pair, server):
    """Each process shows what it knows."""
    one, two = pair
    await confirmed(one, 5)
    await agreed(one, two)
    server.stop()
    await until(lambda: one.degraded and two.degraded)
    send(one, 1)
    assert (scores(one), scores(two)) == ({"a": 6}, {"a": 5})


async def test_a_repetition_counts_twice_where_nobody_can_know_the_first(new_store, server):
    """Redis was emptied, and the process that is asked started after that."""
    one = await plays(await new_store(server))
    await confirmed(one, 5, "op-00001")
    epoch = one.get(SESSION).epoch
    wipe(server)
    await until(lambda: one.get(SESSION).epoch != epoch)
    two = await plays(await new_store(server))
    await agreed(one, two)
    assert (await confirmed(two, 5, "op-00001")).score == 10


async def test_a_stop_while_redis_is_away_loses_what_only_this_process_held(new_store, server):
    """After it has waited for two and a half seconds."""
    one = await plays(await new_store(server))
    server.stop()
    await until(lambda: one.degraded)
    send(one, 5)
    await one.stop()
    server.start()
    two = await plays(await new_store(server))
    assert scores(two) == {}


async def test_processes_may_overshoot_the_largest_total_by_what_is_on_its_way(pair, server):
    """Each checks what it knows, and Redis refuses nothing that was accepted."""
    one, two = pair
    done = asyncio.get_running_loop().create_future()
    one._shared[SESSION].overwrite(Populate({"a": MAX_TOTAL - MAX_POINTS}), 0.0, done.set_result)
    one._unconfirmed.add(one._shared[SESSION])
    await done
    await agreed(one, two)
    server.freeze()
    answers = send(one, MAX_POINTS), send(two, MAX_POINTS)
    server.thaw()
    await until(lambda: all(bool(some) and some[-1].durable for some in answers))
    await agreed(one, two)
    assert scores(one) == {"a": MAX_TOTAL + MAX_POINTS}
