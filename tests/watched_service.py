"""A service under attack: all that it logs is counted by kind, and what it holds is measured."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import IO, Any

import psutil

from loadtest.target.processes import Service

MEGABYTE = 1024 * 1024
EXAMPLES = 10  # wrong lines that are kept
Kind = tuple[str, str, Any]  # logger, event, code


class LogBook:
    """Counts lines of a JSON log."""

    def __init__(self) -> None:
        self.lines: Counter[Kind] = Counter()
        self._wrong: list[str] = []  # lines that are no JSON object, or hold a traceback

    def note(self, line: str) -> None:
        """Count a line."""
        try:
            entry = json.loads(line)
            kind = (entry["logger"], entry["event"], entry.get("code"))
        except (ValueError, KeyError, TypeError):
            entry, kind = {"exception": "no JSON"}, ("", "", None)
        self.lines[kind] += 1
        if "exception" in entry and len(self._wrong) < EXAMPLES:
            self._wrong.append(f"expected lines of JSON without a traceback, got {line.rstrip()}")

    def faults(self, seconds: float) -> list[str]:
        """What a log of so many seconds must not have: a traceback, or more than one line of a kind and second."""
        most = int(seconds) + 1
        floods = [f"expected {most} lines of {kind}, got {many}" for kind, many in self.lines.items() if many > most]
        return [*self._wrong, *floods]


class WatchedService(Service):
    """A service that logs JSON lines, each of which is counted."""

    def __init__(self, arguments: Iterable[str] = (), **named: Any) -> None:
        self.book = LogBook()
        self._began = time.monotonic()
        super().__init__(("--log-json", *arguments), **named)

    def faults(self) -> list[str]:
        """What its log has that it must not have."""
        return self.book.faults(time.monotonic() - self._began)

    def _read(self, stream: Any, *rest: Any) -> None:
        # The lines of stdout, which come with `rest`, are for its owner.
        super()._read(stream if rest else self._noted(stream), *rest)

    def _noted(self, stream: IO[str]) -> Iterator[str]:
        with stream:
            for line in stream:
                self.book.note(line)
                yield line


def family(pid: int) -> list[psutil.Process]:
    """The process and all below it."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def resident(pid: int) -> float:
    """Megabytes of memory that the process and all below it hold."""
    return sum(one.memory_info().rss for one in family(pid)) / MEGABYTE


def descriptors(pid: int) -> int:
    """Descriptors that the process and all below it have open."""
    return sum(one.num_fds() for one in family(pid))


def cpu_seconds(pid: int) -> float:
    """CPU time that the process and all below it have used."""
    return sum(sum(one.cpu_times()[:2]) for one in family(pid))
