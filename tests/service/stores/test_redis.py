"""Several stores over one real Redis, which is stopped, frozen, emptied and set back under them."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress

import pytest
import redis
from stores import SESSION, agreed, confirmed, scores, send, until, wipe

from service.core.errors import Refused
from service.core.session import Answer, SessionRules
from service.metrics import Metrics
from service.stores.redis import RedisStore
from service.stores.redis_unconfirmed import PROVISIONAL_SECONDS


async def test_what_one_counts_the_other_shows(pair):
    """In the same epoch, with the same version."""
    one, two = pair
    answer = await confirmed(one, 5)
    await confirmed(two, 7)
    await agreed(one, two)
    assert scores(one) == {"a": 12}
    assert (answer.epoch, two.get(SESSION).version) == (two.get(SESSION).epoch, 2)


async def test_what_a_stranger_publishes_changes_nothing(pair, server, caplog):
    """The connection holds, the points stand, nobody comes, and a flood of it is one line of a kind."""
    one, two = pair
    epoch = (await confirmed(one, 5)).epoch
    version = one.get(SESSION).version
    odd = [
        "hello", "{}", "[]", "\xff", '["later"]', '["beat","w","soon"]', '["roster","w",1,[["S","<b>","x"]]]',
        f'["batch","w","{SESSION}","{epoch}",1,{version},{version + 1},1,[]]\n[["add","<b>",5,"","0"]]',
        f'["batch","w","{SESSION}","{epoch}",1,{version},{version + 1},1,[]]\nhello',
    ]  # fmt: skip
    links = [store._connection._gateway for store in pair]
    with redis.Redis.from_url(server.url) as client:
        for text in odd * 20:
            assert client.publish("leaderboard:stream:0", text) == 2
    await confirmed(one, 2)
    await agreed(one, two)
    assert scores(one) == scores(two) == {"a": 7}
    assert one.get(SESSION).epoch == two.get(SESSION).epoch == epoch
    assert one.get(SESSION).participants == two.get(SESSION).participants == 1
    assert [store._connection._gateway for store in pair] == links
    warnings = [record for record in caplog.records if record.levelname not in {"DEBUG", "INFO"}]
    assert {record.levelname for record in warnings} == {"WARNING"}
    assert len(warnings) <= 5 * len(pair)


async def test_an_op_id_counts_once_whoever_hears_it_first(pair):
    """Both at the same moment, and again afterwards; the repetition gets the points of the first."""
    one, two = pair
    both = send(one, 5, "op-00001"), send(two, 5, "op-00001")
    await until(lambda: all(both))
    again = await confirmed(two, 9, "op-00001")
    assert [answer.points for answers in (*both, [again]) for answer in answers] == [5, 5, 5]
    await agreed(one, two)
    assert scores(one) == {"a": 5}


async def test_an_emptied_redis_gets_everything_back(pair, server):
    """From whoever knows it, in a new epoch."""
    one, two = pair
    epoch = (await confirmed(one, 5, "op-00001")).epoch
    await confirmed(two, 7)
    await agreed(one, two)
    wipe(server)
    await confirmed(two, 1)
    await agreed(one, two)
    assert scores(one) == {"a": 13}
    assert one.get(SESSION).epoch != epoch
    assert (await confirmed(two, 5, "op-00001")).score == 13


async def test_an_older_redis_is_brought_up_to_date(pair, server, tmp_path):
    """Points and the reset that it has forgotten."""
    one, two = pair
    await confirmed(one, 5)
    with redis.Redis.from_url(server.url) as client:
        client.save()
    shutil.copy(tmp_path / "dump.rdb", tmp_path / "older")
    await two.reset(SESSION, 0.0)
    await confirmed(two, 7)
    await agreed(one, two)
    server.kill()
    shutil.copy(tmp_path / "older", tmp_path / "dump.rdb")
    server.start()
    await confirmed(one, 1)
    await agreed(one, two)
    assert scores(one) == scores(two) == {"a": 8}


async def test_a_new_process_reads_what_is_there(pair, new_store, server):
    """Scores, and the names of players who are gone."""
    one, _ = pair
    one.join(SESSION, "b", "Bär", 0.0)
    answers = send(one, 3, user="b")
    await until(lambda: bool(answers))
    one.leave(SESSION, "b", 0.0)
    three = await new_store(server)
    await agreed(one, three)
    assert three.get(SESSION).username("b") == "Bär"


async def test_a_frozen_redis_keeps_nobody_waiting(pair, server):
    """Answered while it is frozen, after the 300 ms of the contract, in a private epoch; durable when it thaws."""
    one, two = pair
    shared = (await confirmed(one, 5)).epoch
    assert PROVISIONAL_SECONDS == 0.3
    server.freeze()
    answers = send(one, 7)
    await until(lambda: bool(answers))
    assert not answers[0].durable
    assert answers[0].epoch.startswith(f"{shared}~")
    assert one.degraded
    assert send(one, 1)[0].score == 13
    server.thaw()
    await until(lambda: answers[-1].durable)
    await agreed(one, two)
    assert scores(two) == {"a": 13}
    assert one.get(SESSION).epoch == shared == answers[-1].epoch


async def test_a_redis_that_is_gone_is_noticed_by_everybody(pair, server):
    """Who does nothing shows it too, and goes back to the shared board when Redis is there again."""
    one, two = pair
    await confirmed(one, 5)
    await agreed(one, two)
    server.stop()
    await until(lambda: one.degraded and two.degraded)
    assert send(one, 1)[0].score == 6
    assert send(two, 2)[0].score == 7
    server.start()
    await agreed(one, two)
    assert scores(one) == {"a": 8}


async def test_populate_and_reset_go_on_without_redis(pair, server):
    """They are shown here at once, and hold for all afterwards."""
    one, two = pair
    await confirmed(one, 5)
    server.stop()
    await until(lambda: one.degraded)
    send(one, 1)
    await one.reset(SESSION, 0.0)
    assert scores(one) == {}
    await one.populate(SESSION, 0.0)
    send(one, 2)
    assert scores(one)["alice"] == 145
    assert scores(one)["a"] == 2
    server.start()
    await agreed(one, two)
    assert scores(two)["alice"] == 145
    assert scores(two)["a"] == 2
    await two.populate(SESSION, 0.0)
    await agreed(one, two)
    assert scores(one)["alice"] == 145


async def test_participants_are_counted_over_all_processes(pair):
    """One user at two of them is one participant; who stops takes the users along."""
    one, two = pair
    two.join(SESSION, "b", "Bär", 0.0)
    await until(lambda: one.get(SESSION).participants == 2)
    two.leave(SESSION, "a", 0.0)
    two.rename(SESSION, "b", "Böhm")
    await until(lambda: one.get(SESSION).username("b") == "Böhm")
    assert one.get(SESSION).participants == 2
    await two.stop()
    await until(lambda: one.get(SESSION).participants == 1)


async def test_a_session_that_one_ends_ends_for_all(pair):
    """Unless somebody is there; then it goes on with all its points."""
    one, two = pair
    await confirmed(one, 5)
    await until(lambda: scores(two) == {"a": 5})  # what it has not heard of it could not put back
    for store in pair:
        store.leave(SESSION, "a", 0.0)
    await until(lambda: all(store.get(SESSION).participants == 0 for store in pair))
    # The message that two is watching is not there yet.
    two.watch(SESSION)
    one.sweep(10**10)
    assert one.get(SESSION) is None
    await until(lambda: one.get(SESSION) is not None)
    await agreed(one, two)
    assert scores(one) == {"a": 5}
    two.unwatch(SESSION)
    await until(lambda: not one._presence.watched(SESSION))

    def swept() -> bool:
        one.sweep(10**11)
        return two.get(SESSION) is None

    await until(swept)


async def test_cut_connections_and_forgotten_scripts_are_no_absence(pair, server, caplog):
    """The next try finds Redis, so nobody says that it is away."""
    one, two = pair
    await confirmed(one, 5)
    with redis.Redis.from_url(server.url) as client:
        for command in (
            ("CLIENT", "KILL", "TYPE", "normal"),
            ("CLIENT", "KILL", "TYPE", "pubsub"),
            ("SCRIPT", "FLUSH"),
        ):
            client.execute_command(*command)
            for points, store in enumerate(pair, 1):
                await confirmed(store, points)
    assert "away" not in caplog.text
    await agreed(one, two)
    assert scores(one) == {"a": 14}


async def test_what_waits_is_brought_home_before_the_end(pair, new_store, server):
    """A stop sends what is still on its way."""
    one, two = pair
    answers = [send(one, 1) for _ in range(1000)]
    await one.stop()
    assert all(answers)
    await until(lambda: scores(two) == {"a": 1000})


async def test_points_answered_without_redis_outlive_joins_and_time(new_store, server):
    """Joins of strangers beyond the maximum are refused, and a session whose time has come waits for Redis."""
    one = await new_store(server, max_sessions=3)
    server.stop()
    await until(lambda: one.degraded)
    answers: list[Answer] = []
    for number in range(42):
        with suppress(Refused):
            one.join(f"s{number}", "a", None, 0.0)
            one.update(f"s{number}", "a", 1, None, 0.0, answers.append)
            one.leave(f"s{number}", "a", 0.0)
    await one.reset("s0", 0.0)
    one.sweep(10**10)
    assert [answer.durable for answer in answers] == [False] * 3
    server.start()
    await until(lambda: len(answers) == 6)
    two = await new_store(server)
    boards = {session.id: dict(session.board.scores) for session in two.sessions}
    assert boards == {"s0": {}, "s1": {"a": 1}, "s2": {"a": 1}}

    def swept() -> bool:
        one.sweep(10**11)
        return not one.sessions

    await until(swept)


async def test_a_session_used_elsewhere_is_not_thrown_away(new_store, server):
    """One that another process' user plays, then watches, makes no room; with scores of theirs neither."""
    one, two = await new_store(server, max_sessions=1), await new_store(server)
    two.join(SESSION, "b", None, 0.0)
    await until(lambda: one.get(SESSION) is not None and one.get(SESSION).participants == 1)
    with pytest.raises(Refused):
        one.join("T", "a", None, 0.0)
    two.watch(SESSION)
    two.leave(SESSION, "b", 0.0)
    await until(lambda: one.get(SESSION).participants == 0)
    with pytest.raises(Refused):
        one.join("T", "a", None, 0.0)
    two.unwatch(SESSION)
    await until(lambda: not one._presence.watched(SESSION))
    one.check_join("T", "a")
    two.join(SESSION, "b", None, 0.0)
    send(two, 5, user="b")
    two.leave(SESSION, "b", 0.0)
    await agreed(one, two)
    await until(lambda: scores(one) == {"b": 5} and one.get(SESSION).participants == 0)
    with pytest.raises(Refused):
        one.join("T", "a", None, 0.0)


async def test_a_session_of_which_something_was_missed_makes_no_room(pair):
    """What it holds is known when it has been read."""
    one, two = pair
    one._max_sessions = 1
    await confirmed(one, 5)
    await one.reset(SESSION, 0.0)
    await agreed(one, two)
    for store in pair:
        store.leave(SESSION, "a", 0.0)
    await until(lambda: one.get(SESSION).participants == 0)
    one.check_join("T", "a")
    one._shared.read_again(SESSION)
    with pytest.raises(Refused):
        one.check_join("T", "a")
    await until(lambda: not (one._shared.unread or one._shared.reading))
    one.check_join("T", "a")


async def test_a_score_that_was_not_heard_brings_its_session_back(new_store, server):
    """It made room, because it was empty as far as this process knew, and is read again."""
    one = await new_store(server, max_sessions=1)
    one.join(SESSION, "a", None, 0.0)
    one.leave(SESSION, "a", 0.0)
    await until(lambda: one._shared[SESSION].synced and not one._shared.unread)
    state = f"leaderboard:{{{SESSION}}}"
    with redis.Redis.from_url(server.url) as client:
        client.hset(f"{state}:seqs", "other", 1)
        client.hset(f"{state}:1:row:other", "b", 5)
        client.hincrby(state, "version", 1)
    one.join("T", "a", None, 0.0)
    assert one.get(SESSION) is None
    await until(lambda: one.get(SESSION) is not None and scores(one) == {"b": 5})


async def test_players_ranked_elsewhere_count_towards_the_maximum(pair, new_store, server):
    """Two processes give away as many places as one."""
    one, _ = pair
    send(one, 1)
    one.join(SESSION, "b", None, 0.0)
    send(one, 1, user="b")
    one.leave(SESSION, "b", 0.0)
    await until(lambda: scores(one) == {"a": 1, "b": 1})
    three = await new_store(server, rules=SessionRules(max_players=2))
    await until(lambda: scores(three) == {"a": 1, "b": 1})
    with pytest.raises(Refused):
        three.join(SESSION, "c", None, 0.0)
    three.join(SESSION, "b", None, 0.0)


async def test_without_redis_at_the_start_the_show_begins(new_store, server, tmp_path):
    """Not ready, degraded, and everything there when Redis comes."""
    server.stop()
    store = await new_store(server)
    assert not store.ready
    assert store.degraded
    store.join(SESSION, "a", None, 0.0)
    assert not send(store, 5)[0].durable
    server.start()
    await until(lambda: store.ready and not store.degraded)
    with redis.Redis.from_url(server.url) as client:
        assert client.zscore("leaderboard:{S}:1", "a") == 5


async def test_redis_may_be_reached_by_a_socket_in_the_file_system(redis_binary, tmp_path):
    """`unix://`, as on a machine that has no port to spare."""
    path = tmp_path / "redis.sock"
    process = await asyncio.create_subprocess_exec(
        *(redis_binary, "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(tmp_path)),
        stdout=asyncio.subprocess.DEVNULL,
    )
    store = RedisStore(f"unix://{path}", rules=SessionRules(), metrics=Metrics())
    try:
        await until(path.exists)
        await store.start()
        store.join(SESSION, "a", None, 0.0)
        assert (await confirmed(store, 5)).durable
        await store.stop()
    finally:
        process.terminate()
        await process.wait()
