"""Every figure of a run that has a name, each as one row of one table: `METRICS`.

Gates, reports, Locust's tab, comparisons, the notebooks and the table in docs/run-file.md read the rows, so adding a
metric is one row here. A row's `value` is computed from the totals of the run and the number of players asked for.
What the totals do not hold yet is a new field of `run_totals.Counts`, which merges and reaches the file by itself,
counted by one of the parts of the ledger.

Of some times two bounds are known: such a row has a band. Its `value` is the upper bound and its `lower` the lower
one, both taken from the same events; each is rounded away from the other, to the edge of its histogram's bucket.

Values are in base units (seconds, bytes, plain ratios); `text` writes them for people.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from loadtest.measure.histogram import LOWER_EDGE, MIDDLE, UPPER_EDGE, Histogram
from loadtest.measure.run_totals import BOUNDED, PERCENTILES, RELIEVED, SERVICE, Tally

Unit = Literal["s", "share", "cores", "bytes", "µs", "times", "/s", "count", "number", "yes/no"]
Value = Callable[[Tally, int], float | None]

STATISTICS: Final = (*PERCENTILES, "mean", "max")  # the columns of a table of times
UNBOUNDED: Final = "unbounded"  # how an infinite time is written: something that was owed never came


@dataclass(frozen=True, slots=True)
class Metric:
    """One row: a metric and everything that those who show it need to know.

    A metric of time belongs to a `family` (`latency`) as one of its `STATISTICS`; the rows of a family share a label.
    """

    name: str
    unit: Unit
    better: Literal["lower", "higher", ""]  # which way is an improvement; empty: neither
    label: str
    meaning: str
    value: Value
    headline: str = ""  # its short name where only the most important ones fit: verdict card, table of runs
    compared: bool = False  # whether `compare` shows it; it needs a `better`, and values above 0, as ratios are shown
    per_second: bool = False  # whether a `Second` has what it is computed from; else the whole run's value stands
    of_generator: bool = False  # whether it speaks of the load generator, not of the service
    family: str = ""
    statistic: str = ""
    lower: Value | None = None  # its lower bound, if it has a band
    band: str = ""  # how that is computed

    def text(self, value: float | None, least: float | None = None) -> str:
        """The value for people, with its unit and its lower bound; a dash for what was not measured."""
        if value is not None and least is not None and least < value:
            return f"{self.text(value)}, at least {self.text(least).removesuffix(' ms')}"
        if value is not None and math.isinf(value):
            return UNBOUNDED
        return "–" if value is None or math.isnan(value) else _TEXTS[self.unit](value)

    @property
    def is_time(self) -> bool:
        """Whether it is measured in seconds."""
        return self.unit == "s"


def milliseconds(seconds: float) -> str:
    """A time in ms: two decimals below 10 ms, one above; infinite ones as `UNBOUNDED`."""
    if math.isinf(seconds):
        return UNBOUNDED
    return f"{seconds * 1e3:.2f}" if seconds < 0.01 else f"{seconds * 1e3:,.1f}"


_TEXTS: Final[dict[Unit, Callable[[float], str]]] = {
    "s": lambda value: f"{milliseconds(value)} ms",
    "share": lambda value: f"{math.floor(value * 1e6) / 1e4:g} %",  # rounded down: 100 % means all
    "cores": lambda value: f"{value:.0%}",
    "bytes": lambda value: f"{value / 1e6:,.0f} MB",
    "µs": lambda value: f"{value:,.1f} µs",
    "times": lambda value: f"{value:.3f}",
    "/s": lambda value: f"{value:,.1f}/s",
    "count": lambda value: f"{value:,.0f}",
    "number": lambda value: f"{value:,.1f}",
    "yes/no": lambda value: "yes" if value else "no",
}


def _times(
    family: str,
    label: str,
    meaning: str,
    *,
    compared: tuple[str, ...] = (),
    headline: Mapping[str, str] | None = None,
    per_second: bool = False,
    band: str = "",
    of_generator: bool = False,
) -> tuple[Metric, ...]:
    """The rows of the histogram of this name in the totals; with a `band`, its lower bounds are under `…_lower`."""
    assert bool(band) is (family in BOUNDED)

    def row(statistic: str) -> Metric:
        def value(tally: Tally, _: int) -> float | None:
            return _statistic(getattr(tally, family), statistic, UPPER_EDGE if band else MIDDLE)

        def lower(tally: Tally, _: int) -> float | None:
            return _statistic(getattr(tally, f"{family}_lower"), statistic, LOWER_EDGE)

        return Metric(
            f"{family}_{statistic}", "s", "lower", label, meaning, value, (headline or {}).get(statistic, ""),
            statistic in compared, per_second, of_generator, family, statistic,
            lower=lower if band else None, band=band,
        )  # fmt: skip

    return tuple(row(statistic) for statistic in STATISTICS)


def _statistic(histogram: Histogram, statistic: str, within: float = MIDDLE) -> float | None:
    if not histogram.count + histogram.infinite:
        return None
    if statistic in PERCENTILES:
        return histogram.percentile(PERCENTILES[statistic], within)
    if histogram.infinite:
        return math.inf
    return histogram.mean if statistic == "mean" else histogram.maximum


def _lags() -> tuple[Metric, ...]:
    """Of the generator's three lags whichever is the worst at the percentile."""

    def row(statistic: str) -> Metric:
        def value(tally: Tally, _: int) -> float | None:
            lags = (_statistic(lag, statistic) for lag in (tally.send_lag, tally.receive_lag, tally.loop_lag))
            return max((lag for lag in lags if lag is not None), default=None)

        return Metric(
            f"lag_{statistic}", "s", "lower", "generator's own lag", "the worst of sending, receiving and event loop",
            value, per_second=True, of_generator=True, family="lag", statistic=statistic,
        )  # fmt: skip

    return tuple(row(statistic) for statistic in PERCENTILES)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _reach(tally: Tally, _: int) -> float | None:
    counts = tally.counts
    return 1 - counts.versions_missed / counts.versions_owed if counts.versions_owed else None


def _generator_cost(tally: Tally, _: int) -> float | None:
    own = sum(share["cpuSeconds"] for share in tally.shares.values())
    return _ratio(own * 1e6, tally.boards_received) if tally.shares else None


def _service_cpu(tally: Tally, _: int) -> float | None:
    shares = [one["cpuSeconds"] / one["seconds"] for one in tally.service.values() if one["seconds"]]
    return sum(shares) if shares else None


def _service_cost(tally: Tally, _: int) -> float | None:
    seen = [one["cpuSeconds"] for one in tally.service.values() if one["seconds"]]
    return _ratio(sum(seen) * 1e6, tally.boards_received) if seen else None


def _memory(tally: Tally) -> list[float]:
    """The service's resident bytes over all its addresses, second by second."""
    seen = (one["memory"] for one in tally.service.values() if one["seconds"])
    return [sum(together) for together in zip(*seen, strict=False)]


def _memory_growth(tally: Tally, _: int) -> float | None:
    memory = _memory(tally)
    tenth = max(len(memory) // 10, 1)
    return _ratio(sum(memory[-tenth:]), sum(memory[:tenth])) if len(memory) > 1 else None


_ROWS: Final[tuple[Metric, ...]] = (
    *_times(
        "latency", "score → other screen", "intended time → board, every (update, receiver) pair: rules 1–5",
        compared=("p50", "p99", "p99.9"), headline={"p50": "p50", "p99": "p99", "p99.9": "p99.9"}, per_second=True,
        band="taken by the kernel → earliest arrival of the board: rule 3",
    ),
    *_times("age", "age of what is shown", "how outdated a receiver's screen had become: rule 7", compared=("p99",),
            band="the largest lower bound of the board's pairs"),
    *_times("ack", "score → answer", "to be sent → answered", compared=("p50", "p99"), per_second=True,
            band="taken by the kernel → earliest arrival of the answer"),
    *_times("inside", "inside the service", "received → encoded, by the service's clock: rule 8",
            compared=("p99",), per_second=True),
    *_times("skew", "first → last screen", "a board's first → last receiver in one process",
            compared=("p99",), headline={"p99": "skew p99"}, per_second=True,
            band="first arrival at the latest → last one at the earliest"),
    *_times("connect", "connect", "TCP and upgrade", band="upgrade sent → earliest arrival of its answer"),
    *_times("join", "join", "join-demo → both replies", compared=("p99",),
            band="taken by the kernel → earliest arrival of the last reply"),
    *_times("send_lag", "sent late", "intended → taken by the kernel: rule 10", per_second=True, of_generator=True),
    *_times("receive_lag", "read late", "a board's arrival → its reading: rule 10", of_generator=True),
    *_lags(),
    Metric("reach", "share", "higher", "reach", "versions seen ÷ versions owed: rule 4", _reach,
           headline="reach", per_second=True),
    Metric("pairs", "count", "", "pairs measured", "(update, receiver) pairs",
           lambda tally, _: tally.counts.pairs_received, headline="pairs", per_second=True),
    Metric("lost", "count", "lower", "pairs lost", "no board for 30 s: rule 5",
           lambda tally, _: tally.counts.pairs_lost),
    Metric("unresolved", "count", "lower", "pairs unresolved", "their epoch ended before they were shown in it: rule 5",
           lambda tally, _: tally.counts.pairs_unresolved),
    Metric("updates", "count", "", "updates", "intended within the measured time",
           lambda tally, _: tally.counts.updates, per_second=True),
    Metric("updates_per_second", "/s", "", "updates a second", "of the measured time",
           lambda tally, _: _ratio(tally.counts.updates, tally.seconds), headline="scores", per_second=True),
    Metric("unsent", "count", "lower", "updates not sent", "of them, not sent by the end: rule 10",
           lambda tally, _: tally.counts.unsent, of_generator=True),
    Metric("unanswered", "count", "lower", "updates unanswered", "updates without an answer: rule 5",
           lambda tally, _: tally.counts.unanswered),
    Metric("refused", "count", "lower", "updates refused", "updates that the service refused",
           lambda tally, _: tally.counts.refused),
    Metric("updates_per_board", "number", "", "updates in a board", "distinct boards with updates",
           lambda tally, _: _ratio(tally.board_updates, tally.boards)),
    Metric("boards_per_second", "/s", "", "boards a second", "distinct boards with updates",
           lambda tally, _: _ratio(tally.boards, tally.seconds)),
    Metric("gaps", "count", "lower", "boards after a gap", "boards that showed a gap: rule 4",
           lambda tally, _: tally.counts.gaps),
    Metric("reordered", "count", "lower", "boards out of order",
           "boards with a lower version than an earlier one on the same socket",
           lambda tally, _: tally.counts.reordered),
    Metric("errors", "count", "lower", "errors", "error messages and failed connections, in the whole run",
           lambda tally, _: tally.errors.total(), per_second=True),
    Metric("closes", "count", "lower", "connections closed", "closed by the service, in the whole run",
           lambda tally, _: tally.closes.total(), per_second=True),
    Metric("converged", "yes/no", "higher", "all agree at the end", "1 when rule 9 holds, else 0",
           lambda tally, _: float(not tally.wrong)),
    Metric("players", "count", "", "players taking part", "at the end: rule 10", lambda tally, _: tally.players),
    Metric("absent", "count", "lower", "players absent at once",
           "not connected, in the measured second with the most of them, breaks of the scenario apart: rule 10",
           lambda tally, _: tally.absent, per_second=True),
    Metric("players_asked", "count", "", "players asked for", "rule 10", lambda _, asked: asked),
    Metric("cpu_max", "cores", "lower", "generator: most CPU", "largest share of a core in one second",
           lambda tally, _: max((share for shares in tally.busy.values() for share in shares), default=None),
           per_second=True, of_generator=True),
    Metric("generator_us_per_board", "µs", "lower", "generator: per board",
           "CPU of all generator processes in µs for each board received, everything included",
           _generator_cost, compared=True, of_generator=True),
    Metric("service_cpu", "cores", "lower", "service: CPU", "share of a core, over all addresses", _service_cpu,
           headline="service CPU", per_second=True),
    Metric("service_us_per_board", "µs", "lower", "service: per board", "its CPU in µs for each board received",
           _service_cost, headline="per board", compared=True),
    Metric("service_memory_max", "bytes", "lower", "service: most memory", "resident, over all addresses",
           lambda tally, _: max(_memory(tally), default=None), compared=True, per_second=True),
    Metric("service_memory_growth", "times", "lower", "service: memory growth",
           "the last tenth of the measured seconds ÷ the first", _memory_growth),
)  # fmt: skip
METRICS: Final[dict[str, Metric]] = {one.name: one for one in _ROWS}
FAMILIES: Final[dict[str, str]] = {one.family: one.label for one in _ROWS if one.family}  # family → label
FIGURES: Final = tuple(one for one in _ROWS if not one.family)  # those that are no statistic of a time
HEADLINES: Final = tuple(one for one in _ROWS if one.headline)


def metrics(tally: Tally, players_asked: int) -> dict[str, float | None]:
    """Everything a gate can name: name → value in base units, None for what was not measured."""
    return {one.name: one.value(tally, players_asked) for one in _ROWS}


def lower_bounds(tally: Tally) -> dict[str, float]:
    """The lower bounds of the rows with a band, by name; what was not measured, as in old files, is left out."""
    bounds = {one.name: one.lower(tally, 0) for one in _ROWS if one.lower is not None}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def relieved_bounds(tally: Tally) -> dict[str, float]:
    """The lower bounds without the time in which others kept the service from a CPU, where that is known."""
    found = {
        one.name: _statistic(getattr(tally, f"{one.family}_relieved"), one.statistic, LOWER_EDGE)
        for one in _ROWS
        if one.family in RELIEVED and SERVICE in tally.waited
    }
    return {name: bound for name, bound in found.items() if bound is not None}


def family_values(family: str, values: Mapping[str, float | None]) -> list[float | None]:
    """The statistics of a family in the order of `STATISTICS`; `values` are those of `metrics`."""
    return [values.get(f"{family}_{statistic}") for statistic in STATISTICS]


def headlines(values: Mapping[str, float | None], lower: Mapping[str, float] | None = None) -> list[str]:
    """The most important of the values, each as name and figure with its band; what was not measured is left out."""
    known = ((one, values.get(one.name)) for one in HEADLINES)
    least = (lower or {}).get
    return [f"{one.headline} {one.text(value, least(one.name))}" for one, value in known if value is not None]


def markdown() -> str:
    """The table for docs/run-file.md; the statistics of a family share a line."""
    lines = ["| metric | unit | better | what |", "|---|---|---|---|"]
    for family in FAMILIES:
        rows = [one for one in _ROWS if one.family == family]
        names = f"`{family}_…` with `{' '.join(one.statistic for one in rows)}`"
        band = f"; at least: {rows[0].band}" if rows[0].band else ""
        lines.append(f"| {names} | s | {rows[0].better} | {rows[0].meaning}{band} |")
    lines += [f"| `{one.name}` | {one.unit} | {one.better or '–'} | {one.meaning} |" for one in FIGURES]
    return "\n".join(lines) + "\n"
