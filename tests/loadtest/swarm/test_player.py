"""One player against a service that does what a script says."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import gevent
import pytest
from scripted_service import Message, Script, ScriptedService, scripted_service

from loadtest import access
from loadtest.plan.scenarios import Break, Role, Steady
from loadtest.swarm import player as module
from loadtest.swarm.player import Persona, Player, Shared
from loadtest.transport import gevent_socket
from loadtest.transport.gevent_socket import Socket


@dataclass(frozen=True)
class Planned(Steady):
    """Scores 10, 20, … points at these offsets, and ends the connection at these breaks."""

    offsets: tuple[float, ...] = ()
    ends: tuple[Break, ...] = ()

    def times(self, player: int, stream: int) -> Iterator[float]:
        return iter(self.offsets)

    def points(self, player: int, stream: int) -> Iterator[int]:
        return iter(range(10, 1000, 10))

    def breaks(self, player: int, stream: int) -> Iterator[Break]:
        return iter(self.ends)


@dataclass(frozen=True)
class Game:
    """A player, what it shares, and the service that it plays against."""

    player: Player
    shared: Shared
    service: ScriptedService

    def wait(self, condition: Callable[[], object]) -> None:
        """Let the event loop run until the condition holds."""
        with gevent.Timeout(5.0, AssertionError(f"came: {self.service.received}, tally: {self.shared.tally}")):
            while not condition():
                gevent.sleep(0.001)

    def score(self) -> None:
        """Begin to measure now, and play the whole schedule."""
        self.shared.clock.start(warm_up=0.0, measure=None)
        self.shared.ledger.begin(self.shared.clock.begins)
        self.player.play()


@pytest.fixture
def play(share, monkeypatch) -> Iterator[Callable[..., Game]]:
    """Make a player of a role and a plan against a script; tries follow each other without a wait."""
    sockets: list[Socket] = []

    def connect(*arguments: object, **options: object) -> Socket:
        """Keep each socket, so that none outlives the test."""
        sockets.append(gevent_socket.connect(*arguments, **options))
        return sockets[-1]

    monkeypatch.setattr(module, "wait_before", lambda *_: 0.0)
    monkeypatch.setattr(module, "connect", connect)
    with contextlib.ExitStack() as running:

        def start(
            script: Script = lambda *_: None,
            role: Role = Role.PLAYS,
            offsets: tuple[float, ...] = (),
            ends: tuple[Break, ...] = (),
            **options: object,
        ) -> Game:
            service = running.enter_context(scripted_service(script, **options))
            shared = share(service.url, scenario=Planned(None, 1, offsets, ends))
            player = Player(Persona(0, 0, role, "u0", "Zoë"), shared)
            running.callback(player.leave)
            return Game(player, shared, service)

        yield start
        for socket in sockets:
            socket.abort()


def error(code: str, message: Message, **more: object) -> str:
    """The service's refusal of an update."""
    data = {"code": code, "message": "", "opId": message["data"]["opId"], **more}
    return json.dumps({"type": "error", "data": data}, separators=(",", ":"))


def test_a_player_takes_part_when_its_join_is_answered(play, requests) -> None:
    """It says who it is; from the answer on it is owed every update."""
    game = play()
    game.player.join()
    assert game.service.received == [
        (0, {"type": "join-demo", "data": {
            "userId": "u0", "sessionId": "S", "username": "Zoë", "secret": access.player_secret(),
        }})
    ]  # fmt: skip
    assert (game.player.takes_part, game.player.present, game.shared.ledger.receivers) == (True, True, 1)
    assert requests.rows == [("connect", None), ("join", None)]
    assert (game.shared.tally.connect.count, game.shared.tally.join.count) == (1, 1)


def test_a_watcher_is_answered_by_a_board(play) -> None:
    """It asks to watch, logs the board, and takes part like everybody else."""
    game = play(role=Role.WATCHES)
    game.player.join()
    assert game.service.received == [(0, {"type": "watch-demo", "data": {"sessionId": "S"}})]
    assert (game.player.takes_part, game.shared.ledger.receipts, game.shared.inbox.others) == (True, 1, 0)


def test_a_player_that_is_stuck_is_there_and_owed_nothing(play) -> None:
    """It joins and then reads no more: present, but no receiver of the ledger, and no board reaches it."""
    game = play(role=Role.STUCK)
    game.player.join()
    assert (game.player.stuck, game.player.present, game.shared.ledger.receivers) == (True, True, 0)
    reader = Player(Persona(1, 0, Role.PLAYS, "u1", ""), game.shared)
    reader.join()
    game.service.push_board()  # the reader's is sent last
    game.wait(lambda: game.shared.ledger.receipts)
    assert game.shared.ledger.receipts == 1


def test_a_player_that_is_not_let_in_does_not_try_again(play, requests) -> None:
    """An upgrade refused with 403 is final: one error, no player."""
    game = play(process_request=lambda peer, _request: peer.respond(403, "no"))
    game.player.join()
    assert [(name, failure is None) for name, failure in requests.rows] == [("connect", False)]
    assert (game.shared.tally.errors, game.player.present) == ({"connect": 1}, False)


def test_a_player_whom_somebody_else_plays_gives_up(play, requests) -> None:
    """`taken` is one error and final: the join ends at once, no player, and no score that nobody would answer."""
    refusal = {"type": "error", "data": {"code": "taken", "message": ""}}
    game = play(lambda *_: json.dumps(refusal, separators=(",", ":")), offsets=(0.0,))
    game.player.join()
    game.score()
    game.wait(lambda: game.service.closed == [1000])
    assert [kind for _, kind in joins(game)] == ["join-demo"]
    assert (game.player.present, game.shared.outbox.sent) == (False, 0)
    assert (game.shared.tally.errors, game.shared.tally.closes) == ({"taken": 1}, {})
    assert (requests.rows, game.shared.tally.join.count) == ([("connect", None), ("join", "taken")], 0)


def test_scores_follow_the_schedule(play) -> None:
    """Each score is sent with its points and its own id, and its answer goes into the books."""
    game = play(offsets=(0.0, 0.01, 0.02))
    game.player.join()
    game.score()
    game.wait(lambda: game.shared.outbox.answered == 3)
    assert [points for _, points, _ in game.service.updates] == [10, 20, 30]
    assert len({op_id for *_, op_id in game.service.updates}) == 3
    assert (game.shared.ledger.points, game.shared.ledger.waiting) == ({0: 60}, 0)


def test_nobody_scores_after_the_measured_time(play) -> None:
    """A schedule that goes on does not: `play` returns at the first score that would be too late."""
    game = play(offsets=(0.0, 0.01))
    game.player.join()
    game.shared.clock.start(warm_up=0.0, measure=0.005)
    game.player.play()
    game.wait(lambda: game.shared.outbox.answered == 1)
    assert [points for _, points, _ in game.service.updates] == [10]


def test_a_score_sent_too_fast_is_sent_again(play) -> None:
    """After `rate-limited` the same id goes out again, and its points count once."""

    def too_fast(_connection: int, message: Message) -> str | None:
        seen.append(message["type"])
        return error("rate-limited", message, retryAfter=0.001) if seen.count("update-score") == 1 else None

    seen: list[str] = []
    game = play(too_fast, offsets=(0.0,))
    game.player.join()
    game.score()
    game.wait(lambda: game.shared.outbox.answered == 1)
    (first, second) = game.service.updates
    assert first == second
    assert (game.shared.tally.errors, game.shared.ledger.points) == ({"rate-limited": 1}, {0: 10})


def test_a_score_that_is_refused_is_owed_to_nobody(play) -> None:
    """Any other error is final: the update counts as refused, and is not among those sent again after a lost line."""

    def refuses_the_first(connection: int, message: Message) -> str | int | None:
        match message["data"].get("points"):
            case 10:
                return error("invalid", message)
            case 30 if connection == 0:
                return 1011
        return None

    game = play(refuses_the_first, offsets=(0.0, 0.001, 0.002))
    game.player.join()
    game.score()
    game.wait(lambda: game.shared.outbox.answered == 2)
    assert [(connection, points) for connection, points, _ in game.service.updates] == [
        (0, 10), (0, 20), (0, 30), (1, 30),
    ]  # fmt: skip
    assert (game.shared.ledger.counts.refused, game.shared.ledger.points) == (1, {0: 50})


def joins(game: Game) -> list[tuple[int, str]]:
    """(connection, type) of every message that asks to be let in."""
    return [
        (connection, message["type"]) for connection, message in game.service.received if "opId" not in message["data"]
    ]


def test_what_was_not_answered_is_sent_again_after_a_lost_connection(play, requests) -> None:
    """The service closes instead of answering: the player comes back in its old seat, with the same update."""

    def breaks_once(connection: int, message: Message) -> int | None:
        return 1011 if connection == 0 and message["type"] == "update-score" else None

    game = play(breaks_once, offsets=(0.0,))
    game.player.join()
    game.score()
    game.wait(lambda: game.shared.outbox.answered == 1)
    (first, second) = game.service.updates
    assert len({message["data"]["secret"] for _, message in game.service.received if "secret" in message["data"]}) == 1
    assert (first[0], second[0], first[1:]) == (0, 1, second[1:])
    assert (game.shared.absences.take_most(), game.shared.absences.take_most()) == (1, 0)
    assert (game.player.seat, game.shared.tally.closes, game.shared.ledger.points) == (0, {"1011": 1}, {0: 10})
    assert ("connection", "closed with 1011") in requests.rows


def test_a_close_code_that_is_final_is_obeyed(play, monkeypatch) -> None:
    """After 4403 no further try is even planned."""
    game = play(lambda _, message: 4403 if message["type"] == "update-score" else None, offsets=(0.0,))
    game.player.join()
    planned: list[int] = []
    monkeypatch.setattr(module, "wait_before", lambda _tries, code, _rng: planned.append(code) or 0.0)
    game.score()
    game.wait(lambda: game.shared.tally.closes == {"4403": 1})
    assert (planned, game.player.present, len(joins(game))) == ([], False, 1)


@pytest.mark.parametrize("abrupt", [True, False])
def test_an_update_that_waits_for_a_connection_is_sent_when_it_leaves(play, *, abrupt: bool) -> None:
    """A break of our own takes back what was sent; the service's does not. Each counts from when the kernel took it."""

    def answers_later(connection: int, message: Message) -> str | int | None:
        if message["type"] != "update-score":
            return None
        return "" if connection == 0 and abrupt else 1011 if connection == 0 else None

    game = play(answers_later, offsets=(0.0,), ends=(Break(0.05, 0.01, abrupt=True),) if abrupt else ())
    game.player.join()
    game.score()
    game.wait(lambda: game.shared.outbox.answered == 1)
    resolved = game.shared.ledger.resolve(game.shared.clock.now(), final=True)
    ack, lower = float(resolved.ack[0]), float(resolved.ack_lower[0])
    assert lower <= ack
    assert len(game.service.updates) == 2
    if abrupt:
        assert ack > 0.05 > lower


def test_leaving_is_no_failure(play, requests) -> None:
    """A player that leaves is owed nothing more, closes properly, and does not come back."""
    game = play()
    game.player.join()
    game.player.leave()
    game.wait(lambda: game.service.closed == [1000])
    assert (game.player.present, game.shared.ledger.receivers, game.shared.ledger.seen) == (False, 0, 1)
    assert (game.shared.tally.closes, requests.rows) == ({}, [("connect", None), ("join", None)])


@pytest.mark.parametrize(("abrupt", "seat"), [(True, 0), (False, 1)])
def test_a_break_keeps_the_seat_only_if_it_is_abrupt(play, *, abrupt: bool, seat: int) -> None:
    """One that vanishes is still owed every update when it is back; one that leaves is a new receiver then."""
    game = play(ends=(Break(0.0, 0.005, abrupt=abrupt),))
    game.player.join()
    game.score()
    game.wait(lambda: len(joins(game)) == 2 and game.player.takes_part)
    assert (game.player.seat, game.shared.ledger.seen, game.shared.ledger.receivers) == (seat, seat + 1, 1)
    assert game.shared.tally.closes == {}
