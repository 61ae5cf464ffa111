"""Connections that are not WebSockets yet: their turns, and how many there may be."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable

import pytest

from service.server.doorway import AT_ONCE, LEAST, LEAST_GRACE, MOST, Doorway


class HandLoop:
    """The two things of an event loop that a doorway uses, moved on by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.next: list[Callable[[], None]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.next.append(callback)

    def iterate(self) -> None:
        due, self.next = self.next, []
        for callback in due:
            callback()


class Silent:
    """A connection that says nothing, or is busy."""

    def __init__(self, *, busy: bool = False) -> None:
        self.busy = busy
        self.gone = False

    def may_go(self) -> bool:
        return not self.busy

    def let_go(self) -> None:
        self.gone = True


@pytest.fixture
def loop() -> HandLoop:
    """An event loop moved on by hand."""
    return HandLoop()


def full(loop: HandLoop, *newcomers: Silent) -> Doorway:
    doorway = Doorway(loop, most=len(newcomers))
    for one in newcomers:
        doorway.enter(one)
    return doorway


def test_only_some_go_on_in_one_iteration(loop: HandLoop) -> None:
    """The others do in the next ones, in their order."""
    doorway, gone = Doorway(loop, most=100), []
    for number in range(3 * AT_ONCE - 1):
        doorway.turn(lambda number=number: gone.append(number))
    assert gone == list(range(AT_ONCE))
    loop.iterate()
    assert gone == list(range(2 * AT_ONCE))
    loop.iterate()
    assert gone == list(range(3 * AT_ONCE - 1))
    loop.iterate()
    loop.iterate()
    assert not loop.next


def test_who_comes_later_does_not_overtake(loop: HandLoop) -> None:
    """A turn that is asked for while others queue is behind them."""
    doorway, gone = Doorway(loop, most=100), []
    for number in range(AT_ONCE + 1):
        doorway.turn(lambda number=number: gone.append(number))
    doorway.turn(lambda: gone.append(99))
    loop.iterate()
    assert gone[-2:] == [AT_ONCE, 99]


def test_the_one_silent_for_longest_goes_for_a_newcomer(loop: HandLoop) -> None:
    """One that said something in between stays."""
    first, second = Silent(), Silent()
    doorway = full(loop, first, second)
    loop.now = LEAST_GRACE
    doorway.went_on(first)
    loop.now = LEAST_GRACE + 0.01
    assert doorway.has_room()
    assert (first.gone, second.gone) == (False, True)


def test_nobody_goes_who_has_just_come(loop: HandLoop) -> None:
    """The newcomer waits instead, in the kernel's queue."""
    newest = Silent()
    doorway = full(loop, newest)
    loop.now = LEAST_GRACE - 0.01
    assert not doorway.has_room()
    assert not newest.gone


def test_nobody_goes_who_is_being_answered(loop: HandLoop) -> None:
    """The next one that is silent does."""
    busy, silent = Silent(busy=True), Silent()
    doorway = full(loop, busy, silent)
    loop.now = 10.0
    assert doorway.has_room()
    assert (busy.gone, silent.gone) == (False, True)


def test_those_who_arrive_count(loop: HandLoop) -> None:
    """A connection takes its place when it is accepted."""
    doorway = Doorway(loop, most=2)
    assert doorway.has_room(1)
    assert not doorway.has_room(2)


def test_too_few_files_are_fewer_places_for_a_time(loop: HandLoop) -> None:
    """A quarter of them goes, the ones silent for longest, and the places come back one by one."""
    silent = [Silent() for _ in range(40)]
    doorway = full(loop, *silent)
    loop.now = 10.0
    doorway.shrink()
    gone_before = 0
    while (gone := sum(one.gone for one in silent)) != gone_before:
        gone_before = gone
        doorway.has_room()
    assert 1 < gone < 10
    assert all(one.gone for one in silent[:gone])
    for _ in range(40):
        doorway.has_room()
    assert doorway.has_room(len(silent) - gone - len(doorway))


@pytest.mark.parametrize(
    ("files", "most"), [(resource.RLIM_INFINITY, MOST), (1_000_000, MOST), (4096, 128), (64, LEAST)]
)
def test_few_files_are_few_places(monkeypatch, files: int, most: int) -> None:
    """Players need the others."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    loop = asyncio.new_event_loop()
    assert Doorway(loop).most == most
    loop.close()
