"""What is received within the measured time."""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent

from loadtest.swarm.received_traffic import MeasuredTraffic, Traffic
from loadtest.swarm.run_clock import RunClock

EARLY = 0.005  # seconds that a timer may fire before its time
BEFORE, DURING, AFTER = Traffic(10, 1000, 5, 0.5), Traffic(25, 2500, 12, 0.75), Traffic(99, 9900, 80, 2.0)


class Counter:
    """Gives one reading after another, and remembers when each was taken."""

    def __init__(self, *readings: Traffic) -> None:
        self.readings = list(readings)
        self.taken: list[float] = []

    def __call__(self) -> Traffic:
        self.taken.append(time.time())
        return self.readings.pop(0)


def wait(condition: Callable[[], bool]) -> None:
    """Let the event loop run until the condition holds."""
    with gevent.Timeout(5.0):
        while not condition():
            gevent.sleep(0.001)


def test_the_total_is_the_difference_between_end_and_beginning() -> None:
    """Both readings are taken at the moments of the clock, and the end comes by itself."""
    clock, counter = RunClock(), Counter(BEFORE, DURING, AFTER)
    traffic = MeasuredTraffic(clock, counter)
    clock.start(warm_up=0.02, measure=0.03)
    traffic.start()
    wait(lambda: traffic.total is not None)
    assert traffic.total == Traffic(15, 1500, 7, 0.25)
    first, second = counter.taken
    assert first > clock.begins - EARLY
    assert second > clock.ends - EARLY


def test_stopping_ends_it_and_the_second_time_does_nothing() -> None:
    """A run without a length is counted to `stop`; what comes later is not added."""
    clock, counter = RunClock(), Counter(BEFORE, DURING, AFTER)
    traffic = MeasuredTraffic(clock, counter)
    clock.start(warm_up=0.0, measure=None)
    traffic.start()
    wait(lambda: bool(counter.taken))
    traffic.stop()
    traffic.stop()
    assert traffic.total == DURING - BEFORE
    assert counter.readings == [AFTER]


def test_what_was_never_measured_has_no_total() -> None:
    """A run that is stopped while it warms up has no traffic, and nothing is read later."""
    clock, counter = RunClock(), Counter(BEFORE, DURING)
    traffic = MeasuredTraffic(clock, counter)
    clock.start(warm_up=3600.0, measure=None)
    traffic.start()
    counting = traffic._counting
    gevent.sleep(0)  # it waits for the measured time now
    traffic.stop()
    assert counting is not None
    wait(lambda: counting.dead)
    assert (traffic.total, counter.taken) == (None, [])
