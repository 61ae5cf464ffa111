"""A run: for each kind of flood, rounds with it and quiet rounds in turn, and what a bystander gets in both."""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import websockets
from bystander import EVERY, Answers, Bystander
from flood import senders
from watched_service import WatchedService, resident

from loadtest.target.processes import WatchedCommand

P99_MS = 20.0  # a bystander's p99, or `TIMES` that of the quiet rounds, whichever is larger
TIMES = 2.0
GROWTH = 20.0  # megabytes of memory
WITHOUT_BOUNDS = Path(__file__).parent / "without_bounds"
TOKEN = "a-token-that-nobody-guesses"  # of a service that lives for seconds
NEWCOMER_WAITS = 15.0  # seconds
SETTLE = 0.5  # seconds after a flood begins or ends

Say = Callable[[str], None]
Settle = Callable[[], Awaitable[None]]  # waits until a flood that began has arrived, or one that ended is over


@dataclass
class Figures:
    """What a bystander got with and without one flood, and the memory of the service in megabytes."""

    name: str
    quiet: list[Answers] = field(default_factory=list)
    flooded: list[Answers] = field(default_factory=list)
    newcomers: list[float] = field(default_factory=list)  # seconds until each was connected; no bound is set
    held: float = 0.0
    peak: float = 0.0

    @property
    def usual(self) -> float:
        """The median p99 of the quiet rounds, in milliseconds."""
        return statistics.median(one.quantile(0.99) for one in self.quiet)

    @property
    def worst(self) -> float:
        """The same of the rounds with the flood."""
        return statistics.median(one.quantile(0.99) for one in self.flooded)

    @property
    def asked(self) -> int:
        """Questions during the flood."""
        return sum(one.asked for one in self.flooded)

    @property
    def missing(self) -> int:
        """Those without an answer in time."""
        return sum(one.missing for one in self.flooded)

    def faults(self) -> list[str]:
        """The bounds that were missed."""
        found, bound = [], max(P99_MS, TIMES * self.usual)
        if not self.worst <= bound:  # nan, too
            found.append(f"expected a p99 of at most {bound:.1f} ms, got {self.worst:.1f}")
        if self.missing:
            found.append(f"expected {self.asked} answers, got {self.asked - self.missing}")
        if self.peak > self.held + GROWTH:
            found.append(f"expected {self.held:.0f} MB and {GROWTH:.0f} at most, got {self.peak:.0f}")
        return [f"{self.name}: {fault}" for fault in found]

    def __str__(self) -> str:
        longest = max(one.quantile(1) for one in self.flooded)
        return (
            f"{self.name}: p99 {self.worst:.1f} ms, quiet {self.usual:.1f} ms (ratio {self.worst / self.usual:.2f}), "
            f"longest {longest:.0f} ms; {self.asked - self.missing} of {self.asked} answers; "
            f"newcomers after {max(self.newcomers):.2f} s at most; memory {self.held:.0f} to {self.peak:.0f} MB"
        )


@dataclass(frozen=True, slots=True)
class Target:
    """The service that is flooded."""

    url: str
    pid: int
    faults: Callable[[], list[str]]

    @property
    def ws_url(self) -> str:
        """Its WebSocket address."""
        return f"ws{self.url.removeprefix('http')}/ws"


async def play(options: argparse.Namespace, say: Say) -> list[str]:
    """Flood with each kind, from each number of sockets; return what was wrong.

    Without its bounds a service that misses none of them is what is wrong: the flood, or this measure, is too weak.
    """
    faults = []
    for kind in options.kinds:
        for sockets in options.sockets:
            async with _target(options.server) as target:
                figures = await measure(target, kind, sockets, options)
                say(str(figures))
                missed = [*figures.faults(), *target.faults()]
            if options.server == "ours":
                faults += missed
            else:
                say("\n".join(missed))
                faults += [] if missed else [f"{figures.name}: expected a bound to be missed without it, got none"]
    return faults


async def _settle() -> None:
    await asyncio.sleep(SETTLE)


async def measure(
    target: Target, kind: str, sockets: int, options: argparse.Namespace, settle: Settle = _settle
) -> Figures:
    """Quiet rounds and rounds with the flood, in turn."""
    found = Figures(f"{kind} × {sockets}")
    async with Bystander(target.ws_url) as bystander:
        for _ in range(options.rounds):
            found.quiet.append(await _round(bystander, options.seconds))
            found.held = found.held or resident(target.pid)
            with _senders(target, kind, sockets):
                await settle()
                found.flooded.append(await _round(bystander, options.seconds))
                found.newcomers.append(await _newcomer(target))
                found.peak = max(found.peak, resident(target.pid))
            await settle()
    return found


async def _round(bystander: Bystander, seconds: float) -> Answers:
    answers = Answers()
    await bystander.ask(answers, max(1, round(seconds / EVERY)))
    return answers


async def _newcomer(target: Target) -> float:
    """Seconds until somebody who comes during the flood is connected; infinite beyond `NEWCOMER_WAITS`."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(NEWCOMER_WAITS), Bystander(target.ws_url):
            return time.monotonic() - began
    except (OSError, websockets.WebSocketException):
        return math.inf


def _senders(target: Target, kind: str, sockets: int) -> ExitStack:
    parts = urlsplit(target.url)
    command = [sys.executable, "-P", senders.__file__, kind, str(parts.hostname), str(parts.port)]
    running = ExitStack()
    for _ in range(sockets):
        sender = running.enter_context(WatchedCommand(f"flood of {kind}", command))
        running.callback(sender.interrupt)
    return running


@asynccontextmanager
async def _target(server: str) -> AsyncIterator[Target]:
    """`python -m service` as it is, or without what bounds a flood."""
    foreign = {"PYTHONPATH": os.pathsep.join([str(WITHOUT_BOUNDS), *sys.path])} if server == "unbounded" else {}
    with await asyncio.to_thread(WatchedService, ["--admin-token", TOKEN], environment=foreign) as service:
        yield Target(service.url, service.pid, service.faults)
