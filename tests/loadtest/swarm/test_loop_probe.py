"""How late the event loop's timers are."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from loadtest.swarm import loop_probe
from loadtest.swarm.loop_probe import PERIOD, LoopProbe
from loadtest.swarm.run_clock import RunClock


class LateLoop:
    """Stands for the module `gevent`: the first timer fires this late, the second that late, and so on."""

    def __init__(self, time, *lateness: float) -> None:
        self.killed = False
        self._time = time
        self._lateness = list(lateness)
        self._greenlet: Callable[[], None] | None = None

    def spawn(self, greenlet: Callable[[], None]) -> SimpleNamespace:
        self._greenlet = greenlet
        return SimpleNamespace(kill=self._kill)

    def _kill(self, *, block: bool) -> None:
        assert not block  # whoever stops it may be the event loop
        self.killed = True

    def sleep(self, seconds: float) -> None:
        if not self._lateness:
            raise EOFError
        self._time.now += seconds + self._lateness.pop(0)

    def run(self) -> None:
        """Run the greenlet until its timers are used up."""
        assert self._greenlet is not None
        with pytest.raises(EOFError):
            self._greenlet()


def test_lags_of_the_measured_time_are_kept(standing_time, monkeypatch) -> None:
    """A probe that is due before or fires after the measured time is left out; a timer that is early is not late."""
    loop = LateLoop(standing_time, 0.5, 0.0, 0.25, -0.001, 0.125, 0.5)
    monkeypatch.setattr(loop_probe, "gevent", loop)
    clock = RunClock()
    probe = LoopProbe(clock)
    clock.begins, clock.ends = 1000.0 + PERIOD + 0.1, 1001.0
    loop.run()
    assert probe.lags.tolist() == pytest.approx([0.0, 0.25, 0.0, 0.125], abs=1e-6)


def test_a_stopped_probe_is_ended(standing_time, monkeypatch) -> None:
    """`stop` ends the probing, without waiting for it."""
    loop = LateLoop(standing_time)
    monkeypatch.setattr(loop_probe, "gevent", loop)
    LoopProbe(RunClock()).stop()
    assert loop.killed
