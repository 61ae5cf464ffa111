"""The players of one generator process: this process' share of one run."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Sequence
from typing import Final

import gevent

from loadtest.measure.cpu_waiting import CpuWaiting
from loadtest.measure.histogram import Histogram
from loadtest.measure.pair_ledger import Ledger
from loadtest.measure.run_totals import SERVICE, Second, Tally
from loadtest.plan.scenarios import Scenario
from loadtest.swarm.absences import Absences
from loadtest.swarm.client_messages import Outbox
from loadtest.swarm.due_scores import DueScores
from loadtest.swarm.final_check import count_behind, wrong_scores
from loadtest.swarm.inbox import Inbox
from loadtest.swarm.loop_probe import LoopProbe
from loadtest.swarm.player import OnRequest, Persona, Player, Shared
from loadtest.swarm.received_traffic import MeasuredTraffic, Traffic
from loadtest.swarm.run_clock import RunClock
from loadtest.swarm.seconds import Counters, Seconds
from loadtest.swarm.stamp_clock import StampClock
from loadtest.target import http_api

DRAIN_TIMEOUT: Final = 5.0  # seconds that the last updates may take to be answered and shown everywhere

OnPairs = Callable[[Histogram], None]


class Swarm:
    """This process' share of one run.

    The players are spread over `urls`. `stream` is the number of the process among all generators, `on_request` gets
    (name, seconds, bytes, failure) of everything that Locust's table shows, `on_pairs` the latencies of the
    pairs, second by second; `service_pid` is the service's process on this machine, 0 if that is not known. A run calls
    `player`, `play`, `second` once a second, `stop_scoring`, `drain`, `close_books`.
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
        service_pid: int = 0,
    ) -> None:
        self.players: list[Player] = []
        self.tally = Tally()
        self.name = f"generator {stream}"
        self._urls = urls
        self._on_pairs = on_pairs
        self._seats = itertools.count()  # receivers of the ledger
        self._clock = RunClock()
        self._ledger = Ledger()
        self._inbox = Inbox(self._ledger)
        self._due = DueScores(self._clock)
        self._absences = Absences()
        self._stamps = StampClock(self._clock, self._forget_reading)
        self._shared = Shared(
            ws_urls=[http_api.ws_url(url) for url in urls],
            session_id=session_id,
            scenario=scenario,
            stream=stream,
            stamps=stamps,
            on_request=on_request,
            take_seat=self._take_seat,
            clock=self._clock,
            ledger=self._ledger,
            tally=self.tally,
            inbox=self._inbox,
            outbox=Outbox(),
            due=self._due,
            absences=self._absences,
        )
        self._traffic = MeasuredTraffic(self._clock, self._received)
        self._probe = LoopProbe(self._clock)
        self._waiting = {self.name: CpuWaiting(os.getpid())}
        if service_pid:
            self._waiting[SERVICE] = CpuWaiting(service_pid)
        self._seconds = Seconds(
            self.name,
            clock=self._clock,
            ledger=self._ledger,
            tally=self.tally,
            stamps=self._stamps,
            absences=self._absences,
            waiting=self._waiting,
            loop_lags=self._probe.lags,
            counters=self._counters,
            send_due=self._due.send_due,
        )

    def player(self) -> Player:
        """One more player."""
        shared, index = self._shared, len(self.players)
        user_id, name = shared.scenario.who(index, shared.stream) or (
            f"p{shared.stream}-{index:05d}",
            f"Player {shared.stream}-{index}",
        )
        address = (index + shared.stream) % len(self._urls)
        player = Player(Persona(index, address, shared.scenario.role(index, shared.stream), user_id, name), shared)
        self.players.append(player)
        return player

    def _take_seat(self) -> int:
        """The number of a new receiver, which is owed nothing before it has joined."""
        seat = next(self._seats)
        self._ledger.enter(seat, float("inf"))
        return seat

    def play(self, *, warm_up: float, measure: float | None) -> None:
        """Start the schedule now; measure after `warm_up` seconds, for `measure` seconds or until `stop_scoring`."""
        self._clock.start(warm_up=warm_up, measure=measure)
        self._ledger.begin(self._clock.begins)
        self._traffic.start()

    def stop_scoring(self) -> None:
        """From now on nobody means to score. The measured time ends here, if not before."""
        self._clock.stop()
        self._ledger.end(self._clock.ends)
        self._due.send_due(self._clock.now())  # what was meant before is late, not left out
        self._due.stop()
        self._traffic.stop()

    @property
    def joined(self) -> int:
        """Players that are there now."""
        return self._ledger.receivers + sum(player.stuck for player in self.players)

    @property
    def decided(self) -> int:
        """Players that are there now, or never will be."""
        return self.joined + sum(player.gone for player in self.players)

    def second(self) -> Second:
        """Close a second: what became known in it."""
        second = self._seconds.close(self.joined)
        self._on_pairs(second.latency)
        return second

    @property
    def backlog(self) -> int:
        """How many boards and pairs `absorb` would have to do with, about."""
        return self._ledger.backlog

    def absorb(self) -> None:
        """Take from the ledger what became known, into the totals and the second that is open; often is cheaper."""
        self._seconds.absorb()

    def read_waiting(self) -> None:
        """Read for how long processes waited for a CPU; as often as `SLICES` says."""
        now = self._clock.now()
        for process in self._waiting.values():
            process.read(now)

    def drain(self) -> None:
        """After `stop_scoring`: wait for the last answers and boards, then check that everyone holds the truth."""
        deadline = self._clock.now() + DRAIN_TIMEOUT
        while self._ledger.waiting and self._clock.now() < deadline:
            gevent.sleep(0.02)
        truths = self._await_convergence(deadline)
        if truths:
            self._ledger.owe_rest(truths[0].epoch, truths[0].version)
            self.tally.wrong += wrong_scores(self.players, self._shared, self._urls, truths)
        self.tally.players = sum(player.present for player in self.players)

    def _await_convergence(self, deadline: float) -> list[http_api.FetchedBoard]:
        """The final boards, read until everyone is there and holds them or the deadline has passed.

        A player whose break ends as the run does is on its way back in.
        """
        truths: list[http_api.FetchedBoard] = []
        behind = 0
        while True:
            try:
                truths = [http_api.board(url, self._shared.session_id) for url in self._urls]
            except http_api.Unreachable as error:
                self.tally.wrong.append(f"the final board could not be read: {error}")
                break
            self.absorb()
            behind = count_behind(self.players, self._shared, truths)
            there = all(player.present for player in self.players)
            if (there and not behind) or self._clock.now() > deadline:
                break
            gevent.sleep(0.1)
        if behind:
            self.tally.wrong.append(f"{behind} of {len(self.players)} clients do not hold the service's final board")
        return truths

    def close_books(self) -> Second:
        """What has not arrived by now is lost. Return the last second."""
        self._clock.over = True
        self._probe.stop()
        self.tally.clock_step = self._stamps.largest_step
        self._seconds.absorb(final=True)
        second = self.second()
        for process in self._waiting.values():
            process.close()
        counts, traffic = self._ledger.counts, self._traffic.total or Traffic()
        self.tally.counts = counts
        self.tally.seconds = self._clock.measured
        self.tally.frames, self.tally.bytes, self.tally.boards_received = traffic.frames, traffic.bytes, traffic.boards
        self.tally.shares[self.name] = {
            "cpuSeconds": round(traffic.cpu, 6),
            "receivers": self._ledger.seen,
            "updates": counts.updates,
            "pairs": counts.pairs_received,
            **self._clock.known,
        }
        return second

    def _forget_reading(self) -> None:
        for player in self.players:
            player.forget_reading()

    def _received(self) -> Traffic:
        """So far."""
        boards = self._ledger.receipts
        size = sum(player.bytes_received for player in self.players)
        return Traffic(boards + self._inbox.others, size, boards, time.process_time())

    def _counters(self) -> Counters:
        received, counts, outbox = self._received(), self._ledger.counts, self._shared.outbox
        return Counters(
            sent=outbox.sent,
            answered=outbox.answered,
            frames=received.frames,
            bytes=received.bytes,
            errors=self.tally.errors.total(),
            closes=self.tally.closes.total(),
            owed=counts.versions_owed,
            missed=counts.versions_missed,
        )
