"""The players of one generator process, and the books they keep together.

A `Swarm` is this process' share of one run: its sockets write into one ledger, once a second
`second` turns that into figures. A `Player` is one person: connects, joins, scores when its
schedule says so, comes back when the connection is lost, and sends again what was not answered.

Times are Unix seconds on this machine's clock, because that is the clock of the kernel's stamps.
"""

from __future__ import annotations

import itertools
import json
import random
import re
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import gevent
import gevent.event
import numpy as np
from numpy.typing import NDArray

from loadtest.load.scenarios import Break, Role, Scenario
from loadtest.measure.histogram import Histogram
from loadtest.measure.ledger import BoardHead, Ledger
from loadtest.measure.run_totals import Second, Tally
from loadtest.target import http_api
from loadtest.transport.gevent_socket import ConnectFailed, Socket, connect
from loadtest.transport.reconnect import NEVER_RETRY, wait_before

JOIN_TIMEOUT: Final = 15.0  # seconds
SETTLE_TIMEOUT: Final = 5.0  # seconds that the last updates may take to be answered and shown everywhere
LOOP_PROBE: Final = 0.02  # seconds between two probes of the event loop
_RNG: Final = random.Random()

_TYPE_AT: Final = len('{"type":"')
_BOARD, _RANK, _ERROR = b"lue"  # the first letters of the types that are read
_HEAD_SIZE: Final = 128  # bytes of a board within which its version, epoch and time of sending tell it from others
_HEAD = re.compile(
    rb'\{"type":"leaderboard-update","data":\{"version":(\d+),"updates":(\d+),"epoch":"([^"\\]*)",'
    rb'"sentAt":([0-9.eE+]+),"oldestAt":(null|[0-9.eE+]+)'
)
_REMEMBERED_HEADS: Final = 1024

Floats = NDArray[np.float64]
OnRequest = Callable[[str, float, int, Exception | None], None]
OnPairs = Callable[[Histogram], None]


class Refused(Exception):
    """The service answered with an error, closed a connection, or did not let a player in."""


class Swarm:
    """This process' share of one run.

    The players are spread over `urls`. `stream` is the number of the process among all generators, `on_request` is told
    (name, seconds, bytes, failure) of everything that a person at Locust's table wants to see, `on_pairs` gets
    the latencies of the pairs, second by second.
    """

    def __init__(
        self,
        *,
        urls: Sequence[str],
        session_id: str,
        scenario: Scenario,
        stream: int,
        stamps: bool,
        on_request: OnRequest,
        on_pairs: OnPairs,
    ) -> None:
        self.urls = urls
        self.ws_urls = [http_api.ws_url(url) for url in urls]
        self.session_id = session_id
        self.scenario = scenario
        self.stream = stream
        self.stamps = stamps
        self.on_request = on_request
        self.on_pairs = on_pairs
        self.ledger = Ledger()
        self.log_receiver, self.log_board, self.log_time = self.ledger.log
        self.tally = Tally()
        self.players: list[Player] = []
        self._seats = 0  # receivers of the ledger that were handed out
        self.started = gevent.event.Event()
        self.origin = self.begins = self.halts = float("inf")
        self.ended = False  # the run is over: connections that end now are ours
        self.receive_lags = array("d")
        self.log_lag = self.receive_lags.append
        self.loop_lags = array("d")
        self.others = 0  # frames that were no board
        self.run = f"{random.SystemRandom().getrandbits(40):010x}"
        self.updates = 0
        self.answers = 0
        self.head, self.number = b"-", -1  # of the board that came last: mostly the next receiver's, too
        self._heads: dict[bytes, int] = {}  # of boards seen lately, with the ledger's numbers
        self._older_heads: dict[bytes, int] = {}
        self._line = Second(0, "")
        self._last_at = 0
        self._before = (0,) * 8
        self._cpu = (time.time(), time.thread_time())
        # Frames, bytes and boards received, and CPU seconds used, when measuring began.
        self._at_begin: tuple[int, int, int, float] | None = None
        self._counting: gevent.Greenlet | None = None
        self._probe = gevent.spawn(self._probe_loop)

    def player(self) -> Player:
        """One more player."""
        player = Player(self, len(self.players), (len(self.players) + self.stream) % len(self.urls))
        self.players.append(player)
        return player

    def take_seat(self) -> int:
        """The number of a new receiver, which is owed nothing before it has joined."""
        seat, self._seats = self._seats, self._seats + 1
        self.ledger.enter(seat, float("inf"))
        return seat

    def play(self, *, warm_up: float, measure: float | None) -> None:
        """Start the schedule now and measure after `warm_up` seconds, for `measure` seconds or until `halt`."""
        self.origin = time.time()
        self.begins = self.origin + warm_up
        if measure is not None:
            self.halts = self.begins + measure
        self.ledger.begin(self.begins)
        self._counting = gevent.spawn(self._count_received)
        self.started.set()

    def halt(self) -> None:
        """From now on nobody means to score. The measured time ends here, if not before."""
        self.halts = min(self.halts, time.time())
        self._stop_counting()
        self.started.set()

    @property
    def joined(self) -> int:
        """Players that are there now."""
        return self.ledger.receivers + sum(player.stuck for player in self.players)

    @property
    def phase(self) -> str:
        """Where the run is: connect, warm-up, measure, settle."""
        now = time.time()
        if now >= self.halts:
            return "settle"
        return "connect" if now < self.origin else "warm-up" if now < self.begins else "measure"

    def see(self, data: bytearray, start: int, stop: int) -> int:
        """The ledger's number for a board that is another one than the last."""
        key = bytes(data[start : min(start + _HEAD_SIZE, stop)])
        number = self._heads.get(key)
        if number is None:
            number = self._older_heads.get(key)
            if number is None:
                number = self.ledger.board(_head(data, start, stop))
            if len(self._heads) >= _REMEMBERED_HEADS:
                self._older_heads, self._heads = self._heads, {}
            self._heads[key] = number
        self.head, self.number = key, number
        return number

    def second(self) -> Second:
        """Close a second: what became known in it."""
        self.absorb()
        wall, cpu = time.time(), time.thread_time()
        line, self._line = self._line, Second(0, "")
        self._last_at = max(int(wall), self._last_at + 1)
        line.at, line.phase, line.players = self._last_at, self.phase, self.joined
        share = round((cpu - self._cpu[1]) / max(wall - self._cpu[0], 1e-9), 4)
        line.cpu[self.name] = share
        if self._cpu[0] >= self.begins and wall <= self.halts:
            self.tally.busy.setdefault(self.name, []).append(share)
        self._cpu = (wall, cpu)
        self._tell_counts(line)
        self.on_pairs(line.latency)
        return line

    def absorb(self, *, final: bool = False) -> None:
        """Take from the ledger what became known, into the totals and the second that is open; often is cheaper."""
        resolved = self.ledger.resolve(time.time(), final=final)
        receive, loop = np.array(self.receive_lags), np.array(self.loop_lags)
        for lags in (self.receive_lags, self.loop_lags):
            del lags[:]
        latency, ack = Histogram(resolved.latency), Histogram(resolved.ack)
        self._line.latency.merge(latency)
        self._line.ack.merge(ack)
        # For the line all three kinds of lag together; the verdict takes the worst of them.
        self._line.lag.record(np.concatenate([resolved.send_lag, receive, loop]))
        self.tally.latency.merge(latency)
        self.tally.ack.merge(ack)
        self._line.skew.record(resolved.skew)
        self._line.inside.record(resolved.inside)
        for name, values in (
            ("age", resolved.age),
            ("skew", resolved.skew),
            ("inside", resolved.inside),
            ("send_lag", resolved.send_lag),
            ("receive_lag", receive),
            ("loop_lag", loop),
        ):
            getattr(self.tally, name).record(values)
        self.tally.boards += resolved.boards
        self.tally.board_updates += resolved.board_updates

    @property
    def name(self) -> str:
        """This generator process among all of them."""
        return f"generator {self.stream}"

    def settle(self) -> None:
        """After `halt`: wait for the last answers and boards, then check that everyone holds the truth."""
        ends = time.time() + SETTLE_TIMEOUT
        while self.ledger.waiting and time.time() < ends:
            gevent.sleep(0.02)
        truths: list[http_api.Board] = []
        behind = 0
        while True:
            try:
                truths = [http_api.board(url, self.session_id) for url in self.urls]
            except http_api.Unreachable as error:
                self.tally.wrong.append(f"the final board could not be read: {error}")
                break
            self.absorb()
            behind = sum(self._behind(truth, number) for number, truth in enumerate(truths))
            if not behind or time.time() > ends:
                break
            gevent.sleep(0.1)
        if behind:
            self.tally.wrong.append(f"{behind} of {len(self.players)} clients do not hold the service's final board")
        if truths:
            self.ledger.owe_rest(truths[0].epoch, truths[0].version)
            self._check_scores(truths)
        self.tally.players = sum(player.present for player in self.players)

    def _behind(self, truth: http_api.Board, at: int) -> int:
        """How many who take part at the address of this number do not hold its board."""
        holds = self.ledger.holds(truth.epoch, truth.version)
        return sum(not holds[player.seat] for player in self.players if player.takes_part and player.address == at)

    def finish(self) -> Second:
        """Close the books: what has not arrived by now is lost."""
        self.ended = True
        self._probe.kill(block=False)
        self.absorb(final=True)
        line = self.second()
        self.tally.counts = self.ledger.counts
        self.tally.seconds = max(self.halts - self.begins, 0.0) if self.begins < self.halts else 0.0
        counts = self.ledger.counts
        share = {"receivers": self.ledger.seen, "updates": counts.updates, "pairs": counts.pairs_received}
        self.tally.shares[self.name] = {"cpuSeconds": 0.0} | self.tally.shares.get(self.name, {}) | share
        return line

    def _check_scores(self, truths: list[http_api.Board]) -> None:
        came = {entry["userId"]: entry["score"] for entry in truths[0].entries}
        for other, url in zip(truths[1:], self.urls[1:], strict=True):
            if {entry["userId"]: entry["score"] for entry in other.entries} != came:
                self.tally.wrong.append(f"the board at {url} has other scores than that at {self.urls[0]}")
        doubtful = self.ledger.doubtful
        wrong = [
            f"{player.user_id} has {came.get(player.user_id)}, acknowledged were {points}"
            for player in self.players
            if player.index not in doubtful
            and came.get(player.user_id) != (points := self.ledger.points.get(player.index))
        ]
        if wrong:
            self.tally.wrong.append(f"{len(wrong)} scores differ from what was acknowledged: {'; '.join(wrong[:3])}")
        truth = self.scenario.truth(self.stream)
        wrong = [
            f"{user} has {came.get(user)}, expected {points}"
            for user, points in (truth or {}).items()
            if came.get(user) != points
        ]
        if wrong:
            self.tally.wrong.append(f"{len(wrong)} scores differ from the log's: {'; '.join(wrong[:3])}")

    def _tell_counts(self, line: Second) -> None:
        current = (
            self.updates, self.answers, *self._received[:2], self.tally.errors.total(), self.tally.closes.total(),
            self.ledger.counts.versions_owed, self.ledger.counts.versions_missed,
        )  # fmt: skip
        (
            line.sent, line.answered, line.frames, line.bytes, line.errors, line.closes, line.owed, line.missed,
        ) = (
            new - old for new, old in zip(current, self._before, strict=True)
        )  # fmt: skip
        self._before = current

    @property
    def _received(self) -> tuple[int, int, int]:
        """Frames, bytes and boards so far."""
        boards = self.ledger.receipts
        return boards + self.others, sum(player.bytes_received for player in self.players), boards

    def _count_received(self) -> None:
        """What was received in the measured time, from its own beginning to its own end."""
        gevent.sleep(max(self.begins - time.time(), 0.0))
        self._at_begin = (*self._received, time.process_time())
        if self.halts < float("inf"):
            gevent.sleep(max(self.halts - time.time(), 0.0))
            self._stop_counting()

    def _stop_counting(self) -> None:
        counting, self._counting = self._counting, None
        if counting is None:
            return
        if self._at_begin is not None:
            now = (*self._received, time.process_time())
            frames, size, boards, cpu = (new - old for new, old in zip(now, self._at_begin, strict=True))
            self.tally.frames, self.tally.bytes, self.tally.boards_received = int(frames), int(size), int(boards)
            self.tally.shares[self.name] = {"cpuSeconds": round(cpu, 6)}
        if counting is not gevent.getcurrent():
            counting.kill(block=False)

    def _probe_loop(self) -> None:
        """How late is a timer of this loop? Tells a lag of our own where the kernel gives no stamps."""
        while True:
            due = time.time() + LOOP_PROBE
            gevent.sleep(LOOP_PROBE)
            now = time.time()
            if self.begins <= due and now < self.halts:
                self.loop_lags.append(max(now - due, 0.0))


class Player:
    """One person with one socket. `index` is its number in this process, `address` that of its service.

    Its `seat` is its number as a receiver of the ledger: a new one each time it comes back after it left.
    """

    def __init__(self, swarm: Swarm, index: int, address: int) -> None:
        known = swarm.scenario.who(index, swarm.stream)
        self.index = index
        self.address = address
        self.role = swarm.scenario.role(index, swarm.stream)
        self.user_id, self._name = known or (f"p{swarm.stream}-{index:05d}", f"Player {swarm.stream}-{index}")
        self.takes_part = False
        self.stuck = False  # is there, and does not read
        self.seat = -1
        self._wants_seat = True
        self._swarm = swarm
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
    def bytes_received(self) -> int:
        """Over all of this player's sockets."""
        return self._bytes_before + (0 if self._socket is None else self._socket.bytes_received)

    def join(self) -> None:
        """Connect and join; blocks until it worked, or until the service says that it never will."""
        tries = 0
        while not self._left:
            try:
                self._connect()
            except Refused as refused:
                self._swarm.on_request("join", 0.0, 0, refused)
            except ConnectFailed as failed:
                self._swarm.on_request("connect", 0.0, 0, failed)
                self._swarm.tally.errors["connect"] += 1
                if failed.status == 403:
                    return
            else:
                return
            gevent.sleep(wait_before(tries, None, _RNG))
            tries += 1

    def play(self) -> None:
        """Score whenever the schedule says so; returns when it ends or the swarm halts."""
        swarm = self._swarm
        swarm.started.wait()
        breaks = swarm.scenario.breaks(self.index, swarm.stream)
        first_break = next(breaks, None)
        if first_break is not None:  # a greenlet costs memory
            self._pausing = gevent.spawn(self._come_and_go, itertools.chain([first_break], breaks))
        if self.role is not Role.PLAYS:
            return
        first = time.time()
        for offset, worth in zip(
            swarm.scenario.times(self.index, swarm.stream),
            swarm.scenario.points(self.index, swarm.stream),
            strict=False,  # points may go on
        ):
            intended = swarm.origin + offset
            if swarm.origin < first - 1.0 and intended < first:
                continue  # joined in the middle of the run: what lies before was never meant
            wait = intended - time.time()
            if wait > 0:
                gevent.sleep(wait)
            if intended >= swarm.halts:
                return
            if not self._away:  # who is outside does not mean to score
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
            self._swarm.ledger.leave(self.seat, time.time())

    def _come_and_go(self, breaks: Iterator[Break]) -> None:
        """End the connection when the scenario says so, and come back."""
        swarm = self._swarm
        for one in breaks:
            at = swarm.origin + one.at
            wait = at - time.time()
            if wait > 0:
                gevent.sleep(wait)
            if at >= swarm.halts:
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
        """Leave, with everything answered that was sent, and wait outside."""
        ends = time.time() + 1.0
        while self._pending and time.time() < ends:
            gevent.sleep(0.01)
        self._away = True
        self._stand_up()
        if self._socket is not None:
            self._socket.close()
        gevent.sleep(seconds)
        self._break_off()
        self._away = False

    def _connect(self) -> None:
        swarm = self._swarm
        self._joined = gevent.event.Event()
        began = time.time()
        if self._socket is not None:
            self._bytes_before += self._socket.bytes_received
        if self._wants_seat:
            self._wants_seat = False
            self.seat = swarm.take_seat()
        self._socket = connect(swarm.ws_urls[self.address], self._text, self._closed, stamps=swarm.stamps)
        connected = time.time()
        swarm.tally.stamped &= self._socket.stamped
        swarm.tally.connect.record(connected - began)
        swarm.on_request("connect", connected - began, 0, None)
        self._socket.start()
        self._socket.send(json.dumps(self._hello).encode())
        if not self._joined.wait(JOIN_TIMEOUT):
            self._socket.abort()
            raise Refused(f"no answer to {self._hello['type']} within {JOIN_TIMEOUT:g} s")
        if not self._socket.open:
            raise Refused(f"the connection was closed before {self._hello['type']} was answered")
        joined = time.time()
        swarm.tally.join.record(joined - connected)
        swarm.on_request("join", joined - connected, 0, None)
        if self.role is Role.STUCK:
            self.stuck = True
            self._socket.stop_reading()
        elif not self.takes_part and not self._left:
            self.takes_part = True
            swarm.ledger.enter(self.seat, joined)
        for text in list(self._pending.values()):
            self._socket.send(text)

    @property
    def _hello(self) -> dict[str, Any]:
        if self.role is Role.WATCHES:
            return {"type": "watch-demo", "data": {"sessionId": self._swarm.session_id}}
        data = {"userId": self.user_id, "sessionId": self._swarm.session_id, "username": self._name}
        return {"type": "join-demo", "data": data}

    def _score(self, points: int, intended: float) -> None:
        swarm = self._swarm
        update = swarm.updates
        swarm.updates += 1
        op_id = f"{swarm.run}-{update:x}"
        text = b'{"type":"update-score","data":{"points":%d,"opId":"%s"}}' % (points, op_id.encode())
        self._pending[op_id] = text
        swarm.ledger.sent(update, sender=self.index, intended=intended, now=time.time(), points=points)
        # While the player is away it waits, late already, for the next connection.
        if self._socket is not None and self._joined.is_set():
            self._socket.send(text)

    # Called by the event loop: nothing here may block

    def _text(self, data: bytearray, start: int, stop: int) -> None:
        """The hot path: a board costs a comparison and three numbers."""
        swarm, socket = self._swarm, self._socket
        assert socket is not None
        kind = data[start + _TYPE_AT] if stop - start > _TYPE_AT else 0
        if kind == _BOARD:
            swarm.log_board(swarm.number if data.startswith(swarm.head, start) else swarm.see(data, start, stop))
            swarm.log_receiver(self.seat)
            arrived_at, read_at = socket.arrived_at, socket.read_at
            swarm.log_time(arrived_at)
            if not self.takes_part and self.role is Role.WATCHES:
                self._joined.set()  # who watches is answered by a board
            if swarm.begins <= read_at < swarm.halts:
                swarm.log_lag(read_at - arrived_at)
            return
        swarm.others += 1
        if kind == _RANK:
            self._rank(data, start, stop, socket.arrived_at)
        elif kind == _ERROR:
            self._error(json.loads(data[start:stop])["data"])

    def _rank(self, data: bytearray, start: int, stop: int, now: float) -> None:
        if not self._joined.is_set():
            # The board before it has been logged: from here on this receiver is owed everything.
            self._joined.set()
        if data.find(b'"opId":', start, stop) < 0:
            return
        answer = json.loads(data[start:stop])["data"]
        op_id = answer["opId"]
        if not isinstance(op_id, str) or not op_id.startswith(self._swarm.run):
            return  # another tab of this user, if somebody plays it by hand
        self._pending.pop(op_id, None)
        update = int(op_id.rpartition("-")[2], 16)
        took = self._swarm.ledger.answered(
            update, answer["epoch"], answer["version"], durable=answer["durable"], now=now
        )
        if took is not None:
            self._swarm.answers += 1
            self._swarm.on_request("ack", took, stop - start, None)

    def _error(self, error: dict[str, Any]) -> None:
        swarm = self._swarm
        code, op_id = error["code"], error.get("opId")
        swarm.tally.errors[code] += 1
        swarm.on_request("ack" if op_id else "join", 0.0, 0, Refused(code))
        if not isinstance(op_id, str) or op_id not in self._pending:
            return
        if code == "rate-limited":
            gevent.spawn_later(float(error.get("retryAfter") or 0.05), self._again, op_id)
        else:
            del self._pending[op_id]
            swarm.ledger.refused(int(op_id.rpartition("-")[2], 16))

    def _again(self, op_id: str) -> None:
        text = self._pending.get(op_id)
        if text is not None and self._socket is not None:
            self._socket.send(text)

    def _closed(self, code: int) -> None:
        swarm = self._swarm
        was_in = self._joined.is_set()
        self._joined.set()  # whoever waits for the join sees a closed socket
        if self._left or self._away or swarm.ended:
            return
        swarm.tally.closes[str(code)] += 1
        swarm.on_request("connection", 0.0, 0, Refused(f"closed with {code}"))
        if was_in and code not in NEVER_RETRY:
            self._joined = gevent.event.Event()
            gevent.spawn_later(wait_before(0, code, _RNG), self.join)


def _head(data: bytearray, start: int, stop: int) -> BoardHead:
    match = _HEAD.match(data, start, stop)
    if match is not None:
        version, updates, epoch, sent_at, oldest_at = match.groups()
        oldest = None if oldest_at == b"null" else float(oldest_at)
        return BoardHead(int(version), int(updates), epoch.decode(), float(sent_at), oldest)
    # Another writer of JSON, with blanks or escapes: right, but slower.
    board = json.loads(data[start:stop])["data"]
    return BoardHead(board["version"], board["updates"], board["epoch"], board["sentAt"], board["oldestAt"])
