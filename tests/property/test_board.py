"""Board and store under random operations, against a sorted list that is too simple to be wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from service.core.errors import Refused
from service.core.pn_counter import Populate
from service.core.protocol import MAX_TOTAL
from service.core.ranking import Ranking
from service.core.session import Answer, Overwritten, Restored, Scored, SessionRules
from service.core.user_appearance import DEMO_USERS
from service.metrics import Metrics
from service.stores.base import Store
from service.stores.memory import MemoryStore
from service.stores.redis import RedisStore

USERS = st.sampled_from(["alice", "bob", "A", "a", "a.b", "a-b", "zz", "u_1", "eve"])
# Few different values, so that ties are common; and some at the edge of what a total may be.
POINTS = st.one_of(st.integers(-3, 3), st.integers(-1_000_000, 1_000_000))
OP_IDS = st.one_of(st.none(), st.sampled_from(["op-00001", "op-00002", "op-00003"]))
SESSION = "S"


class NaiveBoard:
    """The oracle: a dict, sorted anew for every question."""

    def __init__(self, ranking: Ranking) -> None:
        self.ranking = ranking
        self.scores: dict[str, int] = {}

    def rows(self) -> list[tuple[int, str, int]]:
        ordered = sorted(self.scores.items(), key=lambda item: (-item[1], item[0]))
        values = [score for _, score in ordered]
        if self.ranking is Ranking.COMPETITION:
            ranks = [1 + sum(other > score for other in values) for score in values]
        else:
            ranks = [1 + len({other for other in values if other > score}) for score in values]
        return [(rank, user, score) for rank, (user, score) in zip(ranks, ordered, strict=True)]

    def rank(self, user: str) -> int | None:
        return next((rank for rank, who, _ in self.rows() if who == user), None)


class StoreAgainstOracle(RuleBasedStateMachine):
    """Every answer, event, page and window of the store equals the oracle's."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()

    async def new_store(self, ranking: Ranking) -> Store:
        return MemoryStore(epoch="e", rules=SessionRules(ranking))

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.runner.run(self.store.stop())
        self.runner.close()

    @initialize(ranking=st.sampled_from(list(Ranking)), offset=st.sampled_from([0, MAX_TOTAL - 5, 5 - MAX_TOTAL]))
    def begin(self, ranking: Ranking, offset: int) -> None:
        self.store = self.runner.run(self.new_store(ranking))
        self.oracle = NaiveBoard(ranking)
        self.first: dict[tuple[str, str], int] = {}
        self.connected: dict[str, int] = {}
        self.version = 0
        self.events: list[Any] = []
        self.store.listener = lambda _session, events: self.events.extend(events)
        self.call(self.store.join, SESSION, "anchor", None, 0.0)
        self.connected["anchor"] = 1
        if offset:
            self.lift("anchor", offset)
            self.oracle.scores["anchor"] = offset

    def lift(self, user: str, score: int) -> None:
        """Begin with a score that would take too many updates to reach."""
        self.store.view(SESSION, 0.0).board.place(user, score)

    def call(self, method: Callable[..., object], *arguments: object) -> object:
        """Call the store where its loop runs, as the service does."""

        async def call() -> object:
            return method(*arguments)

        return self.runner.run(call())

    def shown(self) -> list[Any]:
        """The events since the last `clear`."""
        return self.events

    async def confirmed(self, user: str, points: int, op_id: str | None) -> Answer:
        """The durable answer to an update."""
        answer = asyncio.get_running_loop().create_future()
        self.store.update(SESSION, user, points, op_id, 0.0, lambda one: one.durable and answer.set_result(one))
        return await answer

    @rule(user=USERS)
    def join(self, user: str) -> None:
        self.call(self.store.join, SESSION, user, None, 0.0)
        self.connected[user] = self.connected.get(user, 0) + 1

    @rule(user=USERS)
    def leave(self, user: str) -> None:
        if self.connected.get(user):
            self.call(self.store.leave, SESSION, user, 0.0)
            self.connected[user] -= 1

    @rule(user=st.one_of(USERS, st.just("anchor")), points=POINTS, op_id=OP_IDS)
    def score(self, user: str, points: int, op_id: str | None) -> None:
        if not self.connected.get(user):
            return
        self.events.clear()
        known = (user, op_id) in self.first
        total = self.oracle.scores.get(user, 0) + points
        refused = not known and abs(total) > MAX_TOTAL
        try:
            answer = self.runner.run(self.confirmed(user, points, op_id))
        except Refused as refusal:
            assert refused, refusal
            assert self.shown() == []
            return
        assert not refused
        before = self.oracle.rank(user)
        if not known:
            self.oracle.scores[user] = total
            self.version += 1
            if op_id is not None:
                self.first[user, op_id] = points
        assert answer.points == (self.first[user, op_id] if op_id is not None else points)
        assert (answer.score, answer.rank) == (self.oracle.scores.get(user, 0), self.oracle.rank(user))
        assert (answer.version, answer.total_players) == (self.version, len(self.oracle.scores))
        if known:
            assert self.shown() == []
        else:
            (event,) = self.shown()
            assert isinstance(event, Scored)
            assert (event.old_rank, event.new_rank) == (before, self.oracle.rank(user))

    @rule()
    def populate(self) -> None:
        self.events.clear()
        self.runner.run(self.store.populate(SESSION, 0.0))
        self.oracle.scores |= {user.id: user.demo_score for user in DEMO_USERS.values()}
        self.version += 1
        assert [type(event) for event in self.shown()] == [Overwritten]

    @rule()
    def reset(self) -> None:
        self.runner.run(self.store.reset(SESSION, 0.0))
        self.oracle.scores.clear()
        self.version += 1

    @rule(limit=st.integers(0, 12), offset=st.integers(0, 12))
    def page(self, limit: int, offset: int) -> None:
        entries = self.store.view(SESSION, 0.0).entries(limit, offset)
        rows = [(entry.rank, entry.user_id, entry.score) for entry in entries]
        assert rows == self.oracle.rows()[offset : offset + limit]
        assert all(entry.is_connected == bool(self.connected.get(entry.user_id)) for entry in entries)

    @rule(user=USERS, reach=st.integers(0, 4))
    def around(self, user: str, reach: int) -> None:
        rows = self.oracle.rows()
        position = next((index for index, row in enumerate(rows) if row[1] == user), None)
        expected = [] if position is None else rows[max(position - reach, 0) : position + reach + 1]
        got = self.store.view(SESSION, 0.0).board.around(user, reach)
        assert [(standing.rank, standing.user_id, standing.score) for standing in got] == expected

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "store"):
            return
        session = self.store.view(SESSION, 0.0)
        session.board.check()
        assert dict(session.board.scores) == self.oracle.scores
        assert session.version == self.version
        assert session.participants == sum(count > 0 for count in self.connected.values())


class RedisAgainstOracle(StoreAgainstOracle):
    """The same over a real Redis, and with another worker beside it, which has to show the same in the end."""

    url = ""

    async def new_store(self, ranking: Ranking) -> Store:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()
        self.other = RedisStore(self.url, rules=SessionRules(ranking), metrics=Metrics())
        store = RedisStore(self.url, rules=SessionRules(ranking), metrics=Metrics())
        await self.other.start()
        await store.start()
        return store

    def shown(self) -> list[Any]:
        """Without `Restored`: it follows an update that was answered before a slow Redis confirmed it."""
        return [event for event in self.events if not isinstance(event, Restored)]

    def lift(self, user: str, score: int) -> None:
        self.runner.run(self._lift(user, score))

    async def _lift(self, user: str, score: int) -> None:
        # A populate sets whatever it is told to.
        shared = self.store._shared[SESSION]
        done = asyncio.get_running_loop().create_future()
        # A slow Redis makes it heard twice: shown here, then confirmed.
        shared.overwrite(Populate({user: score}), 0.0, lambda _: done.done() or done.set_result(None))
        self.store._unconfirmed.add(shared)
        await done
        self.version += 1

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.runner.run(self._agree())
            self.runner.run(self.other.stop())
        super().teardown()

    async def _agree(self) -> None:
        session = self.store.get(SESSION)
        async with asyncio.timeout(10):
            while True:
                other = self.other.get(SESSION)
                if other is not None and (other.epoch, other.version) == (session.epoch, session.version):
                    break
                await asyncio.sleep(0.005)
        assert other.board.scores == session.board.scores


StoreAgainstOracle.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestStoreAgainstOracle = StoreAgainstOracle.TestCase


def test_a_store_over_redis_equals_the_oracle_too(empty_redis, redis_servers):
    """Fewer runs, each over sockets."""
    RedisAgainstOracle.url = empty_redis(next(iter(redis_servers)))
    run_state_machine_as_test(RedisAgainstOracle, settings=settings(max_examples=25, stateful_step_count=30))
