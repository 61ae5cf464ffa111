"""The players: they score as fast as they are answered, send again what was not, and check all they are shown.

A player has one or several seats, each a socket to some worker that comes back after every loss. The duty
of a client is to send an update that got no answer again, with the same opId, until it is answered. On top of
it the swarm resends updates that were answered long ago, drops connections of its own and moves to other workers.

Some updates are plain: they carry no opId. Nothing but the guard on batches keeps those from counting
twice; they cannot be sent again, so one that got no answer may count once or not at all.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from array import array
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Sequence
from typing import Any

from chaos.promise import Findings, Told
from chaos.timeline import Life, Timeline
from chaos.workers import SESSION, Worker
from websockets.exceptions import InvalidHandshake
from websockets.frames import Frame, Opcode

from loadtest.transport.asyncio_socket import Ended, Wire

WINDOW = 6  # updates under way on a seat
RESENDS = 0.04  # of all updates, how many are sent again though they were answered
PLAIN = 0.08  # of all new updates, how many carry no opId
MOST_POINTS = 1_000_000  # so many different values that a wrong sum tells which update it was
RESEND_WITHIN = 240.0  # seconds after the first answer; an opId is remembered for 300
PATIENCE = 12.0  # seconds without an answer on a connection that stands; Redis is frozen for 5 at most


class Op:
    """One update."""

    __slots__ = (
        *("answered_at", "away", "durable_at", "id", "lost", "plain", "points", "seen_by", "sent_at", "soft", "told"),
    )

    def __init__(self, op_id: str, points: int, *, plain: bool, away: bool, now: float) -> None:
        self.id = op_id
        self.points = points
        self.plain = plain
        self.away = away  # sent while Redis was
        self.sent_at = now
        self.answered_at: float | None = None
        self.durable_at: float | None = None
        self.soft: Life | None = None  # the last process that answered it as not durable
        self.lost = False  # with its connection, before an answer came
        self.seen_by: dict[Life, float] = {}  # the processes it was sent to, and when first
        self.told: dict[str, int] = {}  # epoch → version

    @property
    def text(self) -> bytes:
        """The message."""
        if self.plain:
            return b'{"type":"update-score","data":{"points":%d}}' % self.points
        return b'{"type":"update-score","data":{"points":%d,"opId":"%s"}}' % (self.points, self.id.encode())


class Player:
    """One user's account."""

    def __init__(self, user_id: str) -> None:
        self.id = user_id
        self.ops: list[Op] = []
        self.owed: deque[Op] = deque()  # lost their connection before an answer came
        self.recent: deque[Op] = deque(maxlen=400)  # answered, with an opId
        self.uncertain: list[Op] = []  # plain, and lost their connection
        self.told: defaultdict[str, Told] = defaultdict(Told)
        self.sent = 0  # points of all ops
        self.unknowable: list[int] = []  # points of resends that their worker could not recognise
        self.crossed = 0  # points of resends to another process than the first

    def hear(self, op: Op, epoch: str, version: int) -> None:
        """An answer to the update names this place."""
        told = op.told.get(epoch)
        if told is None or version < told:
            if told is not None:
                self.told[epoch].add(told, -op.points)
            op.told[epoch] = version
            self.told[epoch].add(version, op.points)

    def most(self, *, alone: bool) -> int:
        """The highest score that may be shown now; `alone`: by a process that shows what it alone knows."""
        return self.sent + sum(self.unknowable) + (self.crossed if alone else 0)


class Line(Wire):
    """A connection that hands over every text it gets."""

    on_text: Callable[[bytes], None] = staticmethod(lambda _text: None)

    def say(self, text: bytes) -> None:
        """Send a message, if the connection still stands."""
        if not self.ended and self._transport is not None and not self._transport.is_closing():
            self._transport.write(Frame(Opcode.TEXT, text).serialize(mask=True))

    def _text(self, data: bytearray, start: int, stop: int) -> None:
        self.on_text(bytes(data[start:stop]))


class Seat:
    """One place of a player: a socket that comes back, and what is under way on it."""

    def __init__(self, swarm: Swarm, player: Player, worker: Worker, name: str) -> None:
        self.swarm = swarm
        self.player = player
        self.worker = worker
        self.joined = False
        self.half_answered: dict[str, Op] = {}  # answered here as not durable, so that a second answer is due
        self._name = name
        self._life: Life | None = None
        self._line: Line | None = None
        self._open: dict[str, Op] = {}  # sent here, not answered here yet
        self._unknowable: set[str] = set()  # of these, what this process cannot recognise
        self._sent_at: dict[str, float] = {}
        self._plain: Op | None = None
        self._count = 0

    async def sit(self) -> None:
        """Play until the swarm is over."""
        rng = self.swarm.rng
        while not self.swarm.over:
            ended = asyncio.Event()
            try:
                life = self.worker.life
                self._line = await Line.connect(self.worker.ws_url, ended.set)
            except (OSError, InvalidHandshake, Ended):
                self.worker = rng.choice([self.worker, *self.swarm.workers])
                await asyncio.sleep(rng.uniform(0.02, 0.2))
                continue
            self._life = life
            self._line.on_text = self._take
            data = {"userId": self.player.id, "sessionId": SESSION}
            self._line.say(json.dumps({"type": "join-demo", "data": data}).encode())
            await ended.wait()
            self._clear()
            self.swarm.counts["connections lost"] += 1
            await asyncio.sleep(rng.uniform(0.01, 0.15))

    def leave(self, worker: Worker | None = None) -> None:
        """Lose the connection without a word; the next one is to the given worker."""
        self.worker = worker or self.worker
        if self._line is not None:
            self._line.abort()

    def pump(self) -> None:
        """Send what may be sent now."""
        swarm, player = self.swarm, self.player
        while self.joined and len(self._open) < WINDOW:
            if player.owed:
                op = player.owed.popleft()
                if op.answered_at is None:
                    self._resend(op, "resent unanswered")
            elif swarm.quiet or not swarm.take_turn():
                return
            elif swarm.rng.random() < RESENDS:
                self._resend_known()
            else:
                self._send_new()

    def check_patience(self, now: float) -> None:
        """Give up a connection that stands and does not answer."""
        if self._sent_at and now - min(self._sent_at.values()) > PATIENCE:
            self.swarm.findings.add(
                "no answer", self.player.id, f"{self.player.id} waited {PATIENCE:g} s on {self._life}"
            )
            self.leave()

    # What goes out

    def _send_new(self) -> None:
        swarm, player = self.swarm, self.player
        plain = self._plain is None and swarm.rng.random() < PLAIN
        self._count += 1
        op = Op(
            f"{self._name}-{self._count:07}",
            swarm.rng.randint(1, MOST_POINTS),
            plain=plain,
            away=swarm.timeline.away,
            now=time.monotonic(),
        )
        if plain:
            self._plain = op
        player.ops.append(op)
        player.sent += op.points
        swarm.unanswered += 1
        self._send(op)

    def _resend_known(self) -> None:
        """Send an update again that was answered, unless this worker has an excuse not to know it."""
        swarm = self.swarm
        if not self.player.recent:
            return
        op = swarm.rng.choice(self.player.recent)
        if op.id in self._open or op.id in self.half_answered or not self._can_know(op, op.seen_by):
            return
        if op.answered_at is not None and time.monotonic() - op.answered_at < RESEND_WITHIN:
            self._resend(op, "resent answered")

    def _resend(self, op: Op, kind: str) -> None:
        swarm, player = self.swarm, self.player
        assert self._life is not None
        swarm.counts[kind] += 1
        if self._life not in op.seen_by:
            swarm.counts["… to another process"] += 1
            player.crossed += op.points
            self._may_count_twice(op)
        self._send(op)

    def data_lost(self) -> None:
        """Redis has forgotten what it knew: a resend on its way to it may not be recognised any more."""
        if self._life is None:
            return
        for op in (*self._open.values(), *self.half_answered.values()):
            if min(op.seen_by.values()) < op.seen_by[self._life]:
                self._may_count_twice(op)

    def _may_count_twice(self, op: Op) -> None:
        """Allow for it if this process, not having had the first one, has an excuse."""
        others = [life for life in op.seen_by if life is not self._life]
        if op.id not in self._unknowable and not self._can_know(op, others):
            self._unknowable.add(op.id)
            self.swarm.counts["resent to a process that cannot know the first"] += 1
            self.player.unknowable.append(op.points)

    def _send(self, op: Op) -> None:
        assert self._line is not None
        assert self._life is not None
        now = time.monotonic()
        op.seen_by.setdefault(self._life, now)
        self._open[op.id] = op
        self._sent_at[op.id] = now
        self._line.say(op.text)

    def _can_know(self, op: Op, seen_by: Collection[Life]) -> bool:
        assert self._life is not None
        published_by = time.monotonic() if op.durable_at is None else op.durable_at
        return self.swarm.timeline.can_know(self._life, seen_by, op.sent_at, published_by)

    def _clear(self) -> None:
        """The connection is gone: what was not answered is owed."""
        for op in self._open.values():
            if op.answered_at is not None:
                continue
            op.lost = True
            if op.plain:
                self.player.uncertain.append(op)
                self.swarm.unanswered -= 1
            else:
                self.player.owed.append(op)
        self._open.clear()
        self._unknowable.clear()
        self.half_answered.clear()
        self._sent_at.clear()
        self._plain = None
        self.joined = False
        self._life = None

    # What comes in

    def _take(self, text: bytes) -> None:
        if self._life is None:
            return
        swarm, now = self.swarm, time.monotonic()
        if text.startswith(b'{"type":"leaderboard-update"'):
            swarm.show(self._life, text)
            return
        message = json.loads(text)
        data = message["data"]
        if message["type"] == "user-rank-update":
            if "points" in data:
                self._answer(data, now)
            # A place is told as this process shows it, which may be more than its epoch holds.
            swarm.check(self.player, data["score"], data["epoch"], data["version"], self._life, alone=True)
            if not self.joined:
                self.joined = True
                self.pump()
        elif message["type"] == "error":
            swarm.findings.add("error", self.player.id, f"{self.player.id} got {data}")
            self._forget(data.get("opId"))

    def _answer(self, data: dict[str, Any], now: float) -> None:
        swarm, durable = self.swarm, data["durable"]
        op_id = data["opId"]
        if op_id is None and self._plain is not None:
            op_id = self._plain.id
        op = self._open.pop(op_id, None)
        self._sent_at.pop(op_id, None)
        if op is None:
            op = self.half_answered.pop(op_id, None)
            if op is None or not durable:
                swarm.findings.add("answer too many", self.player.id, f"{self.player.id} did not wait for {data}")
                return
        elif not durable:
            self.half_answered[op.id] = op
        if data["points"] != op.points:
            swarm.findings.add("wrong points", self.player.id, f"{self.player.id} sent {op.points}, was told {data}")
        self.player.hear(op, data["epoch"], data["version"])
        if durable and op is self._plain:
            self._plain = None
        assert self._life is not None
        swarm.answered(self.player, op, self._life, durable=durable, now=now)
        self.pump()

    def _forget(self, op_id: str | None) -> None:
        """A refused update counts nothing; it is owed like one that got no answer."""
        op = None if op_id is None else self._open.pop(op_id, None)
        if op is not None:
            self._sent_at.pop(op.id, None)
            if op.answered_at is None:
                self.player.owed.append(op)


class Swarm:
    """All players, their common pace, and what they found."""

    def __init__(
        self, workers: Sequence[Worker], timeline: Timeline, *, players: int, seats: int, rate: float, seed: int
    ) -> None:
        self.workers = workers
        self.timeline = timeline
        self.rng = random.Random(f"swarm {seed}")
        self.findings = Findings()
        self.counts: Counter[str] = Counter()
        self.players = [Player(f"p{number:02}") for number in range(players)]
        self.seats = [
            Seat(self, self.players[n % players], workers[(n + n // players) % len(workers)], f"seat{n:03}")
            for n in range(seats)
        ]
        self.quiet = False  # no new updates
        self.over = False
        self.acked = 0
        self.unanswered = 0
        self.frames = 0
        # Seconds from the sending to the first answer.
        self.latency = {name: array("d") for name in ("all", "while Redis was away", "after a reconnect")}
        self.excused: set[Op] = set()  # answered as not durable by a degraded process that was killed
        self.soft: defaultdict[Life, dict[Op, float]] = defaultdict(dict)  # answered as not durable, and when
        self._rate = rate
        self._turns = 0.0
        self._shown: dict[Life, tuple[bytes, dict[str, Any], dict[str, int]]] = {}
        self._boards: dict[tuple[str, int], tuple[int, Life]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Sit down and begin; returns when everybody has joined."""
        self._tasks = [asyncio.create_task(seat.sit(), name=seat.player.id) for seat in self.seats]
        async with asyncio.timeout(30):
            while not all(seat.joined for seat in self.seats):
                await asyncio.sleep(0.05)
        self._tasks += [asyncio.create_task(self._set_pace()), asyncio.create_task(self._drop_connections())]

    async def calm(self, limit: float) -> bool:
        """Send no new updates; whether the others were answered within the limit."""
        self.quiet = True
        end = time.monotonic() + limit
        while self.unanswered and time.monotonic() < end:
            await asyncio.sleep(0.02)
        return not self.unanswered

    def data_lost(self) -> None:
        """Redis has forgotten what it knew."""
        self.timeline.wiped_at = time.monotonic()
        for seat in self.seats:
            seat.data_lost()

    def check_second_answers(self) -> None:
        """Who is still connected has to have been told that all of it is in Redis."""
        for seat in self.seats:
            if seat.half_answered:
                self.findings.add(
                    "no second answer", seat.player.id, f"{seat.player.id} waits for {list(seat.half_answered)[:3]}"
                )

    async def stop(self) -> None:
        """Everybody leaves."""
        self.over = True
        for seat in self.seats:
            seat.leave()
        for task in self._tasks:
            task.cancel()
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended

    def take_turn(self) -> bool:
        """Whether one more update is within the pace."""
        if self._turns < 1:
            return False
        self._turns -= 1
        return True

    def answered(self, player: Player, op: Op, life: Life, *, durable: bool, now: float) -> None:
        """An answer to an update came, the first one or a later one."""
        if durable:
            op.durable_at = op.durable_at or now
            if op.soft is not None:
                self.soft[op.soft].pop(op, None)
        elif op.durable_at is None:
            op.soft = life
            self.soft[life][op] = now
        if op.answered_at is not None:
            return
        op.answered_at = now
        self.acked += 1
        self.unanswered -= 1
        if not op.plain:
            player.recent.append(op)
        if op.lost:
            self.latency["after a reconnect"].append(now - op.sent_at)
        else:
            self.latency["all"].append(now - op.sent_at)
            if op.away:
                self.latency["while Redis was away"].append(now - op.sent_at)

    def hardened(self, life: Life, since: float) -> None:
        """What this process had answered before is in Redis by now, even where the second answer had no reader left."""
        self.soft[life] = {op: at for op, at in self.soft[life].items() if at >= since}

    def show(self, life: Life, text: bytes) -> None:
        """A board came in."""
        cached = self._shown.get(life)
        # One prebuilt frame goes to all sockets of a process.
        if cached is None or cached[0] != text:
            data = json.loads(text)["data"]
            scores = {row["userId"]: row["score"] for row in data["leaderboard"]}
            cached = self._shown[life] = (text, data, scores)
            self.workers[life.worker].degraded = data["degraded"]
            self._compare(data["epoch"], data["version"], scores, life)
        _, data, scores = cached
        epoch, version, alone = data["epoch"], data["version"], "~" in data["epoch"]
        self.frames += 1
        for player in self.players:
            self.check(player, scores.get(player.id, 0), epoch, version, life, alone=alone)

    def check(self, player: Player, score: int, epoch: str, version: int, life: Life, *, alone: bool) -> None:
        """Hold a shown score against the promise (`promise`)."""
        told = player.told.get(epoch)
        if told is not None and score < (least := told.least(version)):
            self._object("not included", life, player.id, f"{score} at {epoch} {version}, told were {least}")
        if score > player.sent and score > (most := player.most(alone=alone)):
            self._object("more than sent", life, player.id, f"{score} at {epoch} {version}, sent were {most}")

    def _object(self, kind: str, life: Life, about: str, text: str) -> None:
        self.findings.add(kind, about, f"at {self.timeline.at(time.monotonic())} process {life} shows {about} {text}")

    def _compare(self, epoch: str, version: int, scores: dict[str, int], life: Life) -> None:
        """Hold a board against another one of the same version."""
        if "~" not in epoch:
            sameness = hash(frozenset(scores.items()))
            known, first = self._boards.setdefault((epoch, version), (sameness, life))
            if known != sameness:
                self._object("two boards", life, epoch, f"{version} other than {first} did")

    async def _set_pace(self) -> None:
        """Hand out turns at the rate, and none for the time in which nobody could take them."""
        before = time.monotonic()
        looked = before
        while True:
            await asyncio.sleep(0.01)
            now = time.monotonic()
            self._turns = min(self._turns + (now - before) * self._rate, self._rate * 0.1)
            before = now
            for seat in self.rng.sample(self.seats, len(self.seats)):
                seat.pump()
            if now - looked > 1:
                looked = now
                for seat in self.seats:
                    seat.check_patience(now)

    async def _drop_connections(self) -> None:
        """Players lose their network, too, and half of them come back to another worker."""
        while not self.quiet:
            await asyncio.sleep(self.rng.uniform(0.2, 1.2))
            seat = self.rng.choice(self.seats)
            seat.leave(self.rng.choice([seat.worker, self.rng.choice(self.workers)]))
            self.counts["dropped by the player"] += 1
