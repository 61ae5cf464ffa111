"""The cost of a delivered board, of this service and of the usual FastAPI broadcast, measured in turn.

>>> await BroadcastBenchmark.hold(clients=200, rounds=3)

The usual broadcast is `send_text(json.dumps(board))` for each client. The measurement is that of
`python -m loadtest.bench fanout`, in a child process.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from matplotlib.axes import Axes

from cockpit.host.processes import started
from cockpit.results.table import Table
from cockpit.runs.load_run import OwnedCommand
from cockpit.ui.matplotlib_parts import Picture, on_paper, plain
from cockpit.ui.theme import BLUE, GREY, ORANGE
from loadtest.target.processes import ServiceFailed

OURS, USUAL = "this-service", "usual"
SIZE = (12.5, 2.6)  # inches
FEWEST = 10  # clients: the cost is the difference between this number and all of them
POLL_TIME = 0.2  # seconds
NOT_ON_THIS_MACHINE = 2  # the benchmark's exit status
ALL_OF_THEM = 0.9  # of the boards that were due; below it a figure is not reliable
HEAD = ("server", "CPU per delivery", "range", "this service ÷ it", "range", "delivered")


@dataclass(frozen=True, slots=True)
class BroadcastBenchmark:
    """The figures: a picture in a notebook, a table as text. `await BroadcastBenchmark.hold()` is the way to get one.

    If this machine cannot measure them, `rows` is empty and `reason` says why.
    """

    rows: Sequence[Mapping[str, Any]]
    labels: Mapping[str, str]
    rounds: int
    reason: str = ""
    picture: Picture | None = None

    @classmethod
    async def hold(cls, *, clients: int = 200, size: int = 1024, rounds: int = 3, window: float = 1.2) -> Self:
        """Send boards of `size` bytes to `clients` clients, from both servers in turn, for `window` seconds a round.

        Raises ValueError for arguments out of range, `processes.ServiceFailed` with the benchmark's last words.
        """
        if clients <= FEWEST or min(size, rounds) < 1 or window <= 0:
            raise ValueError(
                f"expected more than {FEWEST} clients, and sizes, rounds and seconds above 0; "
                f"got {clients}, {size}, {rounds}, {window:g}"
            )
        with tempfile.TemporaryDirectory(prefix="cockpit-") as folder:
            arguments = ("--clients", clients, "--sizes", size, "--rounds", rounds, "--window", f"{window:g}")
            command = ("-m", "loadtest.bench", "fanout", "--only", f"{OURS},{USUAL}", "--output", folder)
            bench = await started(lambda: OwnedCommand("the benchmark", *command, *map(str, arguments)))
            try:
                # It is not a child of this loop, so it cannot be awaited.
                while bench.alive:  # noqa: ASYNC110
                    await asyncio.sleep(POLL_TIME)
            finally:
                await asyncio.to_thread(bench.stop)
            status = bench.process.returncode
            if status == NOT_ON_THIS_MACHINE:
                return cls((), {}, rounds, "\n".join(bench.log[-1:]))
            if status:
                raise ServiceFailed(f"the benchmark ended with status {status}\n" + "\n".join(bench.log[-5:]))
            text = (Path(folder) / "benchmark.json").read_text("utf-8")
        return await asyncio.to_thread(cls.read, json.loads(text)["fanout"])

    @classmethod
    def read(cls, fanout: Mapping[str, Any]) -> Self:
        """Take the `fanout` part of a benchmark.json for one number of clients and one size."""
        found = cls(fanout["table"], fanout["labels"], fanout["rounds"])
        drawn = on_paper(SIZE, (1,), lambda places: found.draw(places[0]))
        return cls(found.rows, found.labels, found.rounds, picture=drawn)

    def table(self) -> Table:
        """Return the medians of the rounds, with their ranges."""
        notes = [
            f"{self.labels[row['name']]} delivered {row['delivered']:.0%} of what was due"
            for row in self.rows
            if row["delivered"] < ALL_OF_THEM
        ]
        return Table(HEAD, [self._line(row) for row in self.rows], notes)

    def sentence(self) -> str:
        """Return the ratio in words, with the range of the rounds."""
        usual = next(row for row in self.rows if row["name"] == USUAL)
        ratio = usual["ours_to_this"]
        return (
            f"this service ÷ the usual broadcast: {ratio['median']:.2f} ({_range(ratio, 2)}; {self.rounds} rounds, "
            f"{usual['clients']} clients, boards of {usual['payload_bytes']} bytes)"
        )

    def draw(self, axes: Axes) -> None:
        """Draw a bar for each server, with the range of its rounds."""
        names = [row["name"] for row in self.rows]
        costs = [row["us_per_delivery"] for row in self.rows]
        whiskers = [
            [cost["median"] - cost["min"] for cost in costs],
            [cost["max"] - cost["median"] for cost in costs],
        ]
        axes.barh(
            range(len(names)), [cost["median"] for cost in costs], xerr=whiskers, ecolor=GREY, capsize=4, height=0.6,
            color=[BLUE if name == OURS else ORANGE for name in names],
        )  # fmt: skip
        for place, cost in enumerate(costs):
            axes.annotate(f"{cost['median']:.1f} µs", (cost["max"], place), (6, 0), textcoords="offset points",
                          va="center", color=GREY)  # fmt: skip
        axes.set_yticks(range(len(names)), [self.labels[name] for name in names])
        axes.invert_yaxis()
        axes.set_xlim(0, 1.15 * max(cost["max"] for cost in costs))
        axes.set_title(f"CPU per delivered board, µs – {self.sentence()}", fontsize=11)
        plain(axes, along="x")

    def __repr__(self) -> str:
        return f"{self.table()!r}\n{self.sentence()}" if self.rows else f"not measured: {self.reason}"

    def _repr_svg_(self) -> str | None:
        return None if self.picture is None else self.picture.data

    def _repr_png_(self) -> bytes | None:
        return None if self.picture is None else self.picture.png

    def _line(self, row: Mapping[str, Any]) -> list[str]:
        cost, ratio = row["us_per_delivery"], row["ours_to_this"]
        ratios = ["", ""] if row["name"] == OURS else [f"{ratio['median']:.2f}", _range(ratio, 2)]
        figures = [f"{cost['median']:.1f} µs", _range(cost, 1)]
        return [self.labels[row["name"]], *figures, *ratios, f"{row['delivered']:.0%}"]


def _range(spread: Mapping[str, float], digits: int) -> str:
    return f"{spread['min']:.{digits}f}–{spread['max']:.{digits}f}"
