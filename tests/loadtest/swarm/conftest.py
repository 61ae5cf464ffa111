"""Times that stand still, and what the players of one process share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from loadtest.measure.pair_ledger import Ledger
from loadtest.measure.run_totals import Tally
from loadtest.plan.run_spec import RunSpec
from loadtest.plan.scenarios import SCENARIOS, Scenario
from loadtest.swarm import run_clock, seconds, stamp_clock
from loadtest.swarm.absences import Absences
from loadtest.swarm.client_messages import Outbox
from loadtest.swarm.due_scores import DueScores
from loadtest.swarm.inbox import Inbox
from loadtest.swarm.player import Shared
from loadtest.swarm.run_clock import RunClock


@dataclass
class StandingTime:
    """Stands for the module `time`: both of its clocks move only when a test moves them."""

    now: float = 1000.0
    used: float = 0.0
    set_by: float = 0.0  # seconds by which a person set the clock

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now - self.set_by

    def thread_time(self) -> float:
        return self.used


@pytest.fixture
def standing_time(monkeypatch: pytest.MonkeyPatch) -> StandingTime:
    """The time that the modules of the swarm read; it stands still."""
    time = StandingTime()
    for module in (run_clock, seconds, stamp_clock):
        monkeypatch.setattr(module, "time", time)
    return time


@dataclass
class Requests:
    """Records what Locust's table would show."""

    rows: list[tuple[str, str | None]] = field(default_factory=list)  # (name, failure)

    def __call__(self, name: str, seconds: float, size: int, failure: Exception | None) -> None:
        self.rows.append((name, None if failure is None else str(failure)))


@pytest.fixture
def requests() -> Requests:
    return Requests()


@pytest.fixture
def share(requests: Requests) -> Callable[..., Shared]:
    """Make what the players of a process share; seats are given from 0, as the swarm gives them."""

    def shared(*urls: str, scenario: Scenario | None = None) -> Shared:
        ledger, clock = Ledger(), RunClock()

        def seats() -> Iterator[int]:
            number = 0
            while True:
                ledger.enter(number, float("inf"))
                yield number
                number += 1

        return Shared(
            ws_urls=urls,
            session_id="S",
            scenario=scenario or SCENARIOS["steady"](RunSpec(players=1, rate=1.0)),
            stream=0,
            stamps=False,
            on_request=requests,
            take_seat=seats().__next__,
            clock=clock,
            ledger=ledger,
            tally=Tally(),
            inbox=Inbox(ledger),
            outbox=Outbox(),
            due=DueScores(clock),
            absences=Absences(),
        )

    return shared
