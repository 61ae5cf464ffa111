"""One person with one socket: connects, joins, scores on schedule, reconnects, and sends again what was not answered.

Times are those of the run's clock, but for the kernel's stamps.
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

from loadtest.measure.board_receipts import ROW
from loadtest.measure.pair_ledger import Ledger
from loadtest.measure.run_totals import Tally
from loadtest.plan.scenarios import Break, Role, Scenario
from loadtest.swarm.absences import Absences
from loadtest.swarm.client_messages import Outbox, join_message, update_text, watch_message
from loadtest.swarm.due_scores import DueScores
from loadtest.swarm.inbox import BOARD, ERROR, RANK, TYPE_AT, Inbox
from loadtest.swarm.run_clock import RunClock
from loadtest.transport.gevent_socket import ConnectFailed, Socket, connect
from loadtest.transport.reconnect import NEVER_RETRY, wait_before

JOIN_TIMEOUT: Final = 15.0  # seconds
HELLO: Final = 1 << 62  # the number of the message that joins, beside those of updates
LATEST_SENDER: Final = 1.0  # seconds by which a generator that is fit for judgement may send an update late
_RNG: Final = random.Random()
_row: Final = ROW.pack

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
    due: DueScores
    absences: Absences


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
        self._inbox, self._clock, self._due = shared.inbox, shared.clock, shared.due  # at hand for the hot path
        self._socket: Socket | None = None
        self._bytes_before = 0  # of earlier sockets
        self._joined: gevent.event.Event = gevent.event.Event()
        self._pending: dict[str, bytes] = {}
        self._hello_sent = self._reply = 0.0  # by the clock of the stamps
        self._left = False
        self._away = False  # left, and will be back
        self._pausing: gevent.Greenlet | None = None
        self._absent = False  # not connected, though the scenario wants it
        self._note_absence(absent=True)

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
        """Score whenever the schedule says so, from the start of the run on; blocks until then."""
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
        shared.due.add(self._score, self._plan(clock.now()))

    def _plan(self, first: float) -> Iterator[tuple[float, int]]:
        """When the player means to score from `first` on, and how many points."""
        scenario, index, stream, origin = (
            self._shared.scenario, self.persona.index, self._shared.stream, self._clock.origin
        )  # fmt: skip
        # Points may go on.
        for offset, worth in zip(scenario.times(index, stream), scenario.points(index, stream), strict=False):
            # Who joined in the middle of the run never meant what lies before.
            if origin >= first - 1.0 or origin + offset >= first:
                yield origin + offset, worth

    def leave(self) -> None:
        """Leave on purpose, for good."""
        self._left = True
        self._note_absence(absent=False)
        if self._pausing is not None:
            self._pausing.kill(block=False)
        self._stand_up()
        if self._socket is not None:
            self._socket.close()

    def forget_reading(self) -> None:
        """The system's clock was set: when the socket was read last is unknown."""
        if self._socket is not None:
            self._socket.forget_reading()

    def _note_absence(self, *, absent: bool) -> None:
        if absent is not self._absent:
            self._absent = absent
            if absent:
                self._shared.absences.begin()
            else:
                self._shared.absences.end()

    def _stand_up(self) -> None:
        if self.takes_part:
            self.takes_part = False
            self._wants_seat = True
            self._shared.ledger.leave(self.seat, self._clock.now())

    def _come_and_go(self, breaks: Iterator[Break]) -> None:
        """End the connection when the scenario says so, and come back."""
        clock = self._clock
        for one in breaks:
            at = clock.origin + one.at
            wait = at - clock.now()
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
        if self.seat >= 0:
            self._shared.ledger.cut_off(self.seat)
        # What the kernel had not delivered went with the connection.
        for op_id in self._pending:
            self._shared.ledger.taken_back(self._number_of(op_id))
        self._joined = gevent.event.Event()

    def _go_out(self, seconds: float) -> None:
        """Leave and wait outside.

        The connection ends when it has brought what was meant before: a pair that is owed cannot come to a closed one.
        """
        self._away = True
        if self.takes_part:
            self._shared.ledger.leave(self.seat, self._clock.now())
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
        shared, clock = self._shared, self._clock
        self._joined = gevent.event.Event()
        self._reply = self._hello_sent = 0.0
        began = clock.now()
        if self._socket is not None:
            self._bytes_before += self._socket.bytes_received
        if self._wants_seat:
            self._wants_seat = False
            self.seat = shared.take_seat()
        socket = self._socket = connect(
            shared.ws_urls[self.persona.address], self._text, self._closed, self._sent, stamps=shared.stamps
        )
        connected = clock.now()
        shared.tally.stamped &= socket.stamped
        shared.tally.connect.record(connected - began)
        shared.tally.connect_lower.record(min(socket.upgrade_lower, connected - began))
        shared.on_request("connect", connected - began, 0, None)
        socket.start()
        socket.send(json.dumps(self._hello).encode(), HELLO)
        if not self._joined.wait(JOIN_TIMEOUT):
            socket.abort()
            raise PlayerRefused(f"no answer to {self._hello['type']} within {JOIN_TIMEOUT:g} s")
        if self._left:
            return
        if not socket.open:
            raise PlayerRefused(f"the connection was closed before {self._hello['type']} was answered")
        joined = clock.now()
        shared.tally.join.record(joined - connected)
        shared.tally.join_lower.record(min(max(self._reply - self._hello_sent, 0.0), joined - connected))
        shared.on_request("join", joined - connected, 0, None)
        self._note_absence(absent=False)
        if self.persona.role is Role.STUCK:
            self.stuck = True
            socket.stop_reading()
        else:
            if not self.takes_part:
                self.takes_part = True
                shared.ledger.enter(self.seat, joined)
            shared.ledger.back(self.seat, joined)
        for op_id, text in list(self._pending.items()):
            socket.send(text, self._number_of(op_id))

    @property
    def _hello(self) -> dict[str, Any]:
        if self.persona.role is Role.WATCHES:
            return watch_message(self._shared.session_id)
        return join_message(self.persona.user_id, self._shared.session_id, self.persona.name)

    def _score(self, points: int, intended: float) -> None:
        if self._away or self._left:  # then it does not mean to score
            return
        update, op_id = self._shared.outbox.next_update()
        self._pending[op_id] = text = update_text(points, op_id)
        self._shared.ledger.due(
            update, sender=self.persona.index, intended=intended, now=self._clock.now(), points=points
        )
        # While the player is not connected it waits, late already, for the next connection.
        if self._socket is not None and self._joined.is_set():
            self._socket.send(text, update)

    def _number_of(self, op_id: str) -> int:
        number = self._shared.outbox.number_of(op_id)
        assert number is not None  # it is one of ours
        return number

    # Called by the event loop: nothing here may block

    def _text(self, data: bytearray, start: int, stop: int) -> None:
        """The hot path: a board costs a comparison and a row."""
        inbox, socket = self._inbox, self._socket
        assert socket is not None
        if data.startswith(inbox.head, start):
            number = inbox.number
        else:
            kind = data[start + TYPE_AT] if stop - start > TYPE_AT else 0
            if kind != BOARD:
                self._other(kind, data, start, stop)
                return
            number = inbox.see(data, start, stop)
        read = socket.read_at
        inbox.log(_row(self.seat, number, socket.arrived_at, socket.earliest_at, read))
        if not self.takes_part and self.persona.role is Role.WATCHES:
            self._note_reply()  # a watcher is answered by a board
        if self._due.next_at <= read:
            self._due.send_due(self._clock.now())

    def _other(self, kind: int, data: bytearray, start: int, stop: int) -> None:
        self._inbox.others += 1
        if kind == RANK:
            self._rank(data, start, stop)
        elif kind == ERROR:
            self._error(json.loads(data[start:stop])["data"])

    def _note_reply(self) -> None:
        socket = self._socket
        assert socket is not None
        if not self._joined.is_set():
            self._reply = socket.earliest_at
            self._joined.set()

    def _sent(self, number: int) -> None:
        if number == HELLO:
            self._hello_sent = time.time()  # beside a stamp
        else:
            self._shared.ledger.sent(number, self._clock.now())

    def _rank(self, data: bytearray, start: int, stop: int) -> None:
        # The board before it has been logged: from here on this receiver is owed everything.
        self._note_reply()
        if data.find(b'"opId":', start, stop) < 0:
            return
        answer = json.loads(data[start:stop])["data"]
        update = self._shared.outbox.number_of(answer["opId"])
        if update is None:
            return  # another tab of this user, if somebody plays it by hand
        self._pending.pop(answer["opId"], None)
        socket = self._socket
        assert socket is not None
        took = self._shared.ledger.answered(
            update, answer["epoch"], answer["version"], durable=answer["durable"], now=self._clock.now(),
            arrived=socket.arrived_at, earliest=socket.earliest_at,
        )  # fmt: skip
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
            self._socket.send(text, self._number_of(op_id))

    def _closed(self, code: int) -> None:
        shared = self._shared
        was_in = self._joined.is_set()
        self._joined.set()  # whoever waits for the join sees a closed socket
        if self._left or self._away or self._clock.over:
            return
        shared.tally.closes[str(code)] += 1
        shared.on_request("connection", 0.0, 0, PlayerRefused(f"closed with {code}"))
        self._note_absence(absent=True)
        if self.seat >= 0:
            shared.ledger.cut_off(self.seat)
        if was_in and code not in NEVER_RETRY:
            self._joined = gevent.event.Event()
            gevent.spawn_later(wait_before(0, code, _RNG), self.join)
