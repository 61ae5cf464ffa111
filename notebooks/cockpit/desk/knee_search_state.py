"""A search for the knee from the desk, as pure data: the trials, their outcomes, where the gate breaks.

Law of the file: as in `progress`, no clock, no asyncio, no widget. `loadtest.judge.knee_search` decides
which number comes next and when the search ends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cockpit.runs.progress import RunVerdict
from cockpit.ui.plurals import noun
from loadtest.judge.gates import parse_gates
from loadtest.judge.knee_search import Knee, Outcome, Search

DRAWN: Final = "latency_p99"
OUTCOMES: Final = {"PASS": Outcome.HELD, "FAIL": Outcome.MISSED, "INVALID": Outcome.SPOILED}
WORDS: Final = {Outcome.HELD: "held", Outcome.MISSED: "broken", Outcome.SPOILED: "INVALID"}


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of the search; `p99` in ms, None where nothing was measured; `reason` is empty where all gates held.

    `least` is its lower bound, None where there is none.
    """

    players: int
    outcome: Outcome
    p99: float | None
    reason: str
    least: float | None = None

    def __str__(self) -> str:
        late = "–" if self.p99 is None else f"{self.p99:.1f} ms"
        if self.least is not None:
            late += f", at least {self.least:.1f}"
        return f"{self.players:>6} players  p99 {late:>10}  {WORDS[self.outcome]:<7}  {self.reason}".rstrip()


class KneeTrials:
    """Runs with rising numbers of players until a gate breaks; then the gap is narrowed and both ends repeated.

    `playing` is the number of players in the current run. Raises ValueError without a gate like `latency_p99<100ms`
    among `gates`, and for what `knee_search.Search` refuses.
    """

    def __init__(self, gates: Sequence[str], search: Search) -> None:
        parsed = parse_gates(gates)
        bounds = [gate for gate in parsed if gate.metric == DRAWN and gate.comparison in {"<", "<="}]
        if not bounds:
            raise ValueError(f"expected a gate like {DRAWN}<100ms, got {' '.join(gates) or 'none'}")
        self.gate = bounds[0]
        self.trials: list[Trial] = []
        self.playing: int | None = None
        self.over = False
        self._search = search

    @property
    def bound(self) -> float:
        """The gate, in ms."""
        return self.gate.bound * 1000

    @property
    def knee(self) -> Knee:
        """What is known so far."""
        return self._search.knee

    @property
    def breaks_after(self) -> int | None:
        """The most players with which the gates hold, once a larger number is known to break one; else None."""
        knee = self.knee
        return None if knee.fails is None or knee.by_generator else knee.holds

    def next(self) -> int | None:
        """Return the number of players to try next, None when the search is complete."""
        self.playing = self._search.next()
        return self.playing

    def take(self, verdict: RunVerdict) -> None:
        """Take the verdict on the current run."""
        assert self.playing is not None
        outcome, late, least = OUTCOMES[verdict.name], verdict.metrics.get(DRAWN), verdict.lower.get(DRAWN)
        self._search.tell(self.playing, outcome)
        reason = verdict.reasons[0] if verdict.reasons else ""
        self.trials.append(Trial(self.playing, outcome, _milliseconds(late), reason, _milliseconds(least)))

    def finish(self) -> None:
        """End the search."""
        self.playing, self.over = None, True

    def sentence(self) -> str:
        """What was found, in words."""
        if not self.trials:
            return "no run has ended yet"
        return f"{self._found()} ({self._doubt()})"

    def tally(self) -> str:
        """The number of runs by outcome, in words."""
        counts = {word: sum(trial.outcome is outcome for trial in self.trials) for outcome, word in WORDS.items()}
        by_outcome = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        return f"{len(self.trials)} {noun(len(self.trials), 'run')}: {by_outcome}" if self.trials else ""

    def __repr__(self) -> str:
        return "\n".join([*map(str, self.trials), self.sentence()])

    def _found(self) -> str:
        knee = self.knee
        if knee.holds is None and knee.fails is None:
            return "no run says anything about the service yet"
        if knee.holds is None:
            broken = "the generator is the bottleneck" if knee.by_generator else "a gate breaks"
            return f"no knee: with {knee.fails} players, the fewest tried, {broken}"
        if knee.fails is None:
            return f"no knee: {knee.holds} players hold all gates, and more were not tried"
        if knee.by_generator:
            return f"no knee: {knee.holds} players hold all gates; with {knee.fails} the generator is the bottleneck"
        return f"knee: {knee.holds} players hold all gates, {knee.fails} break one"

    def _doubt(self) -> str:
        if self.knee.sure:
            return f"at {self._search.confidence:.0%} confidence"
        return "not sure: more runs are needed" if self.over else "so far"


def _milliseconds(seconds: float | None) -> float | None:
    """What has no end cannot be drawn."""
    return None if seconds is None or not math.isfinite(seconds) else seconds * 1000
