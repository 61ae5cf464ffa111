"""A run: one part after the other, each beside a bystander of a service of its own; then what that service holds."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

from bystander import Answers, Bystander
from fuzz import streams, tables
from fuzz.connections import play_frames, play_head, play_messages
from fuzz.tally import Tally
from watched_service import WatchedService, descriptors, resident

AT_ONCE = 32  # connections
EACH = 1000  # messages of one connection
SAY_EVERY = 10.0  # seconds
WARM = 0.2  # of a part, after which the service has what it needs
GROWTH = 20.0  # megabytes that it may hold more at the end than when it was warm
SPARE = 4  # descriptors that may be open besides those before
CLEAN_WITHIN = 30.0  # seconds
BYSTANDER = {"every": 0.25, "patience": 5.0}  # seconds
UNLIMITED = ("--rate", "1000000", "--burst", "1000000")  # each message is to be read, not to be limited

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Part:
    """What is sent over the network: at least `wanted` cases, over at least so many connections."""

    name: str
    wanted: int
    play: Callable[[Tally, int, Random, str], Awaitable[None]]
    arguments: tuple[str, ...] = ()
    connections: int = 0


@dataclass
class Report:
    """What a run found."""

    tallies: list[Tally] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether all was sent and nothing was wrong."""
        return not self.faults and all(tally.passed for tally in self.tallies)


def parts(options: argparse.Namespace) -> list[Part]:
    """The parts over the network of which there are cases."""
    each = max(1, round(1.1 * options.frames / max(options.connections, 1)))  # a plan may end early

    async def frames(tally: Tally, number: int, rng: Random, url: str) -> None:
        await play_frames(tally, number, rng, url, each)

    async def messages(tally: Tally, number: int, rng: Random, url: str) -> None:
        await play_messages(tally, number, rng, url, min(EACH, tally.wanted))

    made = [
        Part("frames", options.frames, frames, connections=options.connections),
        Part("messages", options.messages, messages, UNLIMITED),
        Part("heads", options.heads, play_head),
    ]
    return [part for part in made if part.wanted]


class Run:
    """Plays all parts, for the minutes of the options at most."""

    def __init__(self, options: argparse.Namespace, say: Say) -> None:
        self._options = options
        self._say = say
        self._ends = time.monotonic() + 60 * options.minutes
        self._report = Report()

    async def play(self) -> Report:
        """Play them; return what was found."""
        for part in parts(self._options):
            async with self._service(self._tally(part.name, part.wanted), part.arguments) as (service, tally):
                numbers = itertools.count()
                players = (self._play(part, tally, numbers, service) for _ in range(AT_ONCE))
                await asyncio.gather(*players)
        if self._options.calls:
            await self._openapi()
        for name, check in (("tables", tables.check), ("streams", streams.check)):
            if wanted := getattr(self._options, name):
                self._in_this_process(self._tally(name, wanted), check)
        return self._report

    async def _play(self, part: Part, tally: Tally, numbers: Iterator[int], service: WatchedService) -> None:
        for number in numbers:
            enough = tally.done >= part.wanted and number >= part.connections
            if enough or time.monotonic() > self._ends or not service.alive:
                return
            await part.play(tally, number, self._rng(tally, number), service.url)

    async def _openapi(self) -> None:
        # Loaded here, because nothing but this part needs it.
        from fuzz.openapi import play

        async with self._service(self._tally("calls", self._options.calls), ()) as (service, tally):
            await asyncio.to_thread(play, tally, service.url, self._options.seed, self._ends)

    def _in_this_process(self, tally: Tally, check: Callable[[Tally, int, Random], None]) -> None:
        said = time.monotonic()
        for number in range(tally.wanted):
            check(tally, number, self._rng(tally, number))
            if time.monotonic() > said + SAY_EVERY:
                said = time.monotonic()
                self._say(str(tally))
            if said > self._ends:
                break
        self._say(str(tally))

    def _tally(self, name: str, wanted: int) -> Tally:
        tally = Tally(name, wanted)
        self._report.tallies.append(tally)
        return tally

    def _rng(self, tally: Tally, number: int) -> Random:
        return Random(f"{self._options.seed} {tally.name} {number}")

    @asynccontextmanager
    async def _service(self, tally: Tally, arguments: tuple[str, ...]) -> AsyncIterator[tuple[WatchedService, Tally]]:
        """A service beside whose attack a bystander asks; at the end all that it must not have done is a fault."""
        service = await asyncio.to_thread(WatchedService, arguments)
        watch = Watch(service, tally, self._say)
        try:
            async with watch.watching():
                yield service, tally
            faults = await watch.faults() if service.alive else ["the service ended"]
        finally:
            await asyncio.to_thread(service.stop)
        # Its log is whole once it has ended.
        self._report.faults += [f"{tally.name}: {fault}" for fault in (*faults, *service.faults())]


class Watch:
    """Looks at the service during one part."""

    def __init__(self, service: WatchedService, tally: Tally, say: Say) -> None:
        self._service = service
        self._tally = tally
        self._say = say
        self._answers = Answers()
        self._open_before = descriptors(service.pid)
        self._warm: float | None = None

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Let the bystander ask, and say how far the part is."""
        async with Bystander(self._service.ws_url, **BYSTANDER) as bystander:
            tasks = [asyncio.create_task(bystander.ask(self._answers)), asyncio.create_task(self._go_on())]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
        broken = [one for one in ended if one is not None and not isinstance(one, asyncio.CancelledError)]
        if broken:
            raise broken[0]

    async def faults(self) -> list[str]:
        """What the service does or holds, and must not, after the part."""
        found = []
        if self._answers.missing > 1:  # the last one may have been under way
            found.append(f"{self._answers.missing} of {self._answers.asked} answers missing for the bystander")
        open_now = await self._open_descriptors()
        if open_now > self._open_before + SPARE:
            found.append(f"expected {self._open_before} descriptors as before, got {open_now}")
        held = resident(self._service.pid)
        if self._warm is not None and held > self._warm + GROWTH:
            found.append(f"expected {self._warm:.0f} MB and {GROWTH:.0f} at most, got {held:.0f}")
        self._say(self._figures())
        return found

    async def _go_on(self) -> None:
        said = time.monotonic()
        while self._service.alive:
            await asyncio.sleep(0.1)
            if self._warm is None and self._tally.done >= WARM * self._tally.wanted:
                self._warm = resident(self._service.pid)
            if time.monotonic() > said + SAY_EVERY:
                said = time.monotonic()
                self._say(self._figures())

    async def _open_descriptors(self) -> int:
        end = time.monotonic() + CLEAN_WITHIN
        while (now := descriptors(self._service.pid)) > self._open_before + SPARE and time.monotonic() < end:
            await asyncio.sleep(0.1)
        return now

    def _figures(self) -> str:
        pid, warm = self._service.pid, "?" if self._warm is None else f"{self._warm:.1f}"
        return (
            f"{self._tally}; {resident(pid):.1f} MB (warm {warm}), {descriptors(pid)} descriptors "
            f"(before {self._open_before}), {sum(self._service.book.lines.values())} lines of log; {self._answers}"
        )
