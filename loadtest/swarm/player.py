"""One person with one socket: connects, joins, scores on schedule, reconnects, and sends again what was not answered.

Times are Unix seconds on this machine's clock, because that is the clock of the kernel's stamps.
"""

from __future__ import annotations

import itertools
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import gevent
import gevent.event

from loadtest.measure.pair_ledger import Ledger
from loadtest.measure.run_totals import Tally
from loadtest.plan.scenarios import Break, Role, Scenario
from loadtest.swarm.client_messages import Outbox, join_message, update_text, watch_message
from loadtest.swarm.inbox import BOARD, ERROR, RANK, TYPE_AT, Inbox
from loadtest.swarm.run_clock import RunClock
from loadtest.transport.gevent_socket import ConnectFailed, Socket, connect
from loadtest.transport.reconnect import NEVER_RETRY, wait_before

JOIN_TIMEOUT: Final = 15.0  # seconds
LATEST_SENDER: Final = 1.0  # seconds by which a generator that is fit for judgement may send an update late
_RNG: Final = random.Random()

OnRequest = Callable[[str, float, int, Exception | None], None]


class PlayerRefused(Exception):
    """The service answered with an error, closed a connection, or did not let a player in."""


@dataclass(frozen=True, slots=True)
class Persona:
    """Who a player is. `index` is its number in this process, `address` that of its service."""

    index: int
    address: int
    role: Role
    user_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Shared:
    """What the players of a process have in common.

    `stream` is the number of the process among all generators; `on_request` gets (name, seconds, bytes, failure) of
    everything that Locust's table shows; `take_seat` gives the number of a new receiver of the ledger.
    """

    ws_urls: Sequence[str]
    session_id: str
    scenario: Scenario
    stream: int
    stamps: bool
    on_request: OnRequest
    take_seat: Callable[[], int]
    clock: RunClock
    ledger: Ledger
    tally: Tally
    inbox: Inbox
    outbox: Outbox


class Player:
    """One person with one socket.

    Its `seat` is its number as a receiver of the ledger: a new one each time it comes back after it left.
    """

    def __init__(self, persona: Persona, shared: Shared) -> None:
        self.persona = persona
        self.takes_part = False
        self.stuck = False  # is there, and does not read
        self.seat = -1
        self._wants_seat = True
        self._shared = shared
        self._inbox, self._clock = shared.inbox, shared.clock  # at hand for the hot path
        self._socket: Socket | None = None
        self._bytes_before = 0  # of earlier sockets
        self._joined: gevent.event.Event = gevent.event.Event()
        self._pending: dict[str, bytes] = {}
        self._left = False
        self._away = False  # left, and will be back
        self._pausing: gevent.Greenlet | None = None

    @property
    def present(self) -> bool:
        """Whether the player is in the session with an open socket, or outside as the scenario wants it."""
        return self._away or self.stuck or (self.takes_part and self._socket is not None and self._socket.open)

    @property
    def gone(self) -> bool:
        """Whether the player has left for good, or was refused for good."""
        return self._left

    @property
    def bytes_received(self) -> int:
        """Over all of this player's sockets."""
        return self._bytes_before + (0 if self._socket is None else self._socket.bytes_received)

    def join(self) -> None:
        """Connect and join; blocks until it worked, or until the service says that it never will."""
        tries = 0
        while not self._left:
            try:
                self._connect()
            except PlayerRefused as refused:
                self._shared.on_request("join", 0.0, 0, refused)
            except ConnectFailed as failed:
                self._shared.on_request("connect", 0.0, 0, failed)
                self._shared.tally.errors["connect"] += 1
                if failed.status == 403:
                    return
            else:
                return
            gevent.sleep(wait_before(tries, None, _RNG))
            tries += 1

    def play(self) -> None:
        """Score whenever the schedule says so; returns when it ends or the measured time does."""
        shared, clock, index = self._shared, self._clock, self.persona.index
        clock.started.wait()
        if self._left:
            return
        breaks = shared.scenario.breaks(index, shared.stream)
        first_break = next(breaks, None)
        if first_break is not None:  # a greenlet costs memory
            self._pausing = gevent.spawn(self._come_and_go, itertools.chain([first_break], breaks))
        if self.persona.role is not Role.PLAYS:
            return
        first = time.time()
        for offset, worth in zip(
            shared.scenario.times(index, shared.stream),
            shared.scenario.points(index, shared.stream),
            strict=False,  # points may go on
        ):
            intended = clock.origin + offset
            if clock.origin < first - 1.0 and intended < first:
                continue  # joined in the middle of the run: what lies before was never meant
            wait = intended - time.time()
            if wait > 0:
                gevent.sleep(wait)
            if intended >= clock.ends:
                return
            if not self._away:  # a player that is away does not mean to score
                self._score(worth, intended)

    def leave(self) -> None:
        """Leave on purpose, for good."""
        self._left = True
        if self._pausing is not None:
            self._pausing.kill(block=False)
        self._stand_up()
        if self._socket is not None:
            self._socket.close()

    def _stand_up(self) -> None:
        if self.takes_part:
            self.takes_part = False
            self._wants_seat = True
            self._shared.ledger.leave(self.seat, time.time())

    def _come_and_go(self, breaks: Iterator[Break]) -> None:
        """End the connection when the scenario says so, and come back."""
        clock = self._clock
        for one in breaks:
            at = clock.origin + one.at
            wait = at - time.time()
            if wait > 0:
                gevent.sleep(wait)
            if at >= clock.ends:
                return
            if one.abrupt:
                self._break_off()
            else:
                self._go_out(one.away)
            self.join()

    def _break_off(self) -> None:
        if self._socket is not None:
            self._socket.abort()
        self._joined = gevent.event.Event()

    def _go_out(self, seconds: float) -> None:
        """Leave and wait outside.

        The connection ends when it has brought what was meant before: a pair that is owed cannot come to a closed one.
        """
        self._away = True
        if self.takes_part:
            self._shared.ledger.leave(self.seat, time.time())
            gevent.sleep(LATEST_SENDER)
            while self._socket is not None and self._socket.open and self._shared.ledger.owes(self.seat):
                gevent.sleep(0.05)
        self._stand_up()
        if self._socket is not None:
            self._socket.close()
        gevent.sleep(seconds)
        self._break_off()
        self._away = False

    def _connect(self) -> None:
        shared = self._shared
        self._joined = gevent.event.Event()
        began = time.time()
        if self._socket is not None:
            self._bytes_before += self._socket.bytes_received
        if self._wants_seat:
            self._wants_seat = False
            self.seat = shared.take_seat()
        self._socket = connect(shared.ws_urls[self.persona.address], self._text, self._closed, stamps=shared.stamps)
        connected = time.time()
        shared.tally.stamped &= self._socket.stamped
        shared.tally.connect.record(connected - began)
        shared.on_request("connect", connected - began, 0, None)
        self._socket.start()
        self._socket.send(json.dumps(self._hello).encode())
        if not self._joined.wait(JOIN_TIMEOUT):
            self._socket.abort()
            raise PlayerRefused(f"no answer to {self._hello['type']} within {JOIN_TIMEOUT:g} s")
        if self._left:
            return
        if not self._socket.open:
            raise PlayerRefused(f"the connection was closed before {self._hello['type']} was answered")
        joined = time.time()
        shared.tally.join.record(joined - connected)
        shared.on_request("join", joined - connected, 0, None)
        if self.persona.role is Role.STUCK:
            self.stuck = True
            self._socket.stop_reading()
        elif not self.takes_part and not self._left:
            self.takes_part = True
            shared.ledger.enter(self.seat, joined)
        for text in list(self._pending.values()):
            self._socket.send(text)

    @property
    def _hello(self) -> dict[str, Any]:
        if self.persona.role is Role.WATCHES:
            return watch_message(self._shared.session_id)
        return join_message(self.persona.user_id, self._shared.session_id, self.persona.name)

    def _score(self, points: int, intended: float) -> None:
        update, op_id = self._shared.outbox.next_update()
        self._pending[op_id] = text = update_text(points, op_id)
        self._shared.ledger.sent(update, sender=self.persona.index, intended=intended, now=time.time(), points=points)
        # While the player is away it waits, late already, for the next connection.
        if self._socket is not None and self._joined.is_set():
            self._socket.send(text)

    # Called by the event loop: nothing here may block

    def _text(self, data: bytearray, start: int, stop: int) -> None:
        """The hot path: a board costs a comparison and three numbers."""
        inbox, socket = self._inbox, self._socket
        assert socket is not None
        kind = data[start + TYPE_AT] if stop - start > TYPE_AT else 0
        if kind == BOARD:
            inbox.log_board(inbox.number if data.startswith(inbox.head, start) else inbox.see(data, start, stop))
            inbox.log_receiver(self.seat)
            arrived_at, read_at = socket.arrived_at, socket.read_at
            inbox.log_time(arrived_at)
            if not self.takes_part and self.persona.role is Role.WATCHES:
                self._joined.set()  # a watcher is answered by a board
            if (clock := self._clock).begins <= read_at < clock.ends:
                inbox.log_lag(read_at - arrived_at)
            return
        inbox.others += 1
        if kind == RANK:
            self._rank(data, start, stop, socket.arrived_at)
        elif kind == ERROR:
            self._error(json.loads(data[start:stop])["data"])

    def _rank(self, data: bytearray, start: int, stop: int, now: float) -> None:
        if not self._joined.is_set():
            # The board before it has been logged: from here on this receiver is owed everything.
            self._joined.set()
        if data.find(b'"opId":', start, stop) < 0:
            return
        answer = json.loads(data[start:stop])["data"]
        update = self._shared.outbox.number_of(answer["opId"])
        if update is None:
            return  # another tab of this user, if somebody plays it by hand
        self._pending.pop(answer["opId"], None)
        took = self._shared.ledger.answered(
            update, answer["epoch"], answer["version"], durable=answer["durable"], now=now
        )
        if took is not None:
            self._shared.outbox.answered += 1
            self._shared.on_request("ack", took, stop - start, None)

    def _error(self, error: dict[str, Any]) -> None:
        shared = self._shared
        code, op_id = error["code"], error.get("opId")
        shared.tally.errors[code] += 1
        shared.on_request("ack" if op_id else "join", 0.0, 0, PlayerRefused(code))
        if code == "taken":  # by somebody else, and for good
            self.leave()
            self._joined.set()
        if not isinstance(op_id, str) or op_id not in self._pending:
            return
        if code == "rate-limited":
            gevent.spawn_later(float(error.get("retryAfter") or 0.05), self._again, op_id)
        else:
            del self._pending[op_id]
            update = shared.outbox.number_of(op_id)
            assert update is not None
            shared.ledger.refused(update)

    def _again(self, op_id: str) -> None:
        text = self._pending.get(op_id)
        if text is not None and self._socket is not None:
            self._socket.send(text)

    def _closed(self, code: int) -> None:
        shared = self._shared
        was_in = self._joined.is_set()
        self._joined.set()  # whoever waits for the join sees a closed socket
        if self._left or self._away or self._clock.over:
            return
        shared.tally.closes[str(code)] += 1
        shared.on_request("connection", 0.0, 0, PlayerRefused(f"closed with {code}"))
        if was_in and code not in NEVER_RETRY:
            self._joined = gevent.event.Event()
            gevent.spawn_later(wait_before(0, code, _RNG), self.join)
