"""The verdict on a run, or its status while it runs, in words; and the faults injected into its service."""

from __future__ import annotations

import html
from collections.abc import Sequence

import ipywidgets as widgets

from cockpit.runs.fault_timings import Fault
from cockpit.runs.progress import RunProgress
from cockpit.ui.theme import GREEN, GREY, ORANGE, VERMILLION, card, status_light
from loadtest.judge.gates import gate_lines
from loadtest.measure.metrics import headlines

COLORS = {"PASS": GREEN, "FAIL": VERMILLION, "INVALID": ORANGE}
MEANS = {
    "PASS": "every gate held",
    "FAIL": "the service did not do what was asked of it",
    "INVALID": "no verdict on the service: the figures prove nothing",
}
FAULTS_SHOWN = 8
PHASES = {"connect": "players connect", "warm-up": "warming up", "measure": "measuring", "settle": "draining"}


class VerdictCard:
    """Status or verdict, the reasons below, and the faults with their times."""

    def __init__(self) -> None:
        self._state = widgets.HTML()
        self._words = widgets.HTML()
        self._faults = widgets.HTML()
        self.widget = card("Verdict", self._state, self._words, self._faults, flex="0 0 auto")

    def draw(self, progress: RunProgress | None, faults: Sequence[Fault], *, running: bool) -> None:
        """Show the run; None if there was none yet."""
        color, title, lines = state(progress, running=running)
        self._state.value = (
            f'<div class="cockpit-state" style="font-size:18px" data-verdict="{title.split(" ")[0]}">'
            f"{status_light(color)}<span>{html.escape(title)}</span></div>"
        )
        body = "<br>".join(html.escape(text) for text in lines)
        self._words.value = f'<div class="cockpit-words" style="min-height:44px">{body}</div>'
        lines_of_faults = "".join(f"<div>{html.escape(str(fault))}</div>" for fault in faults[-FAULTS_SHOWN:])
        self._faults.value = (
            f'<div class="cockpit-words cockpit-faults" style="min-height:24px">{lines_of_faults}</div>'
        )


def state(progress: RunProgress | None, *, running: bool) -> tuple[str, str, list[str]]:
    """Return colour, title and lines for a run."""
    if progress is None:
        return GREY, "no swarm yet", ["Choose players and rate, then press Start swarm."]
    if (verdict := progress.verdict) is not None:
        outside = [] if progress.outside is None else progress.outside.lines
        title = f"{verdict.name} – {MEANS[verdict.name]}"
        figures = "; ".join(headlines(verdict.metrics, verdict.lower))
        gates = gate_lines(verdict.gates, verdict.metrics, verdict.lower)
        advice = [f"→ {text}" for text in verdict.advice]
        return COLORS[verdict.name], title, [*verdict.reasons, *advice, figures, *gates, *outside]
    if not running:
        return GREY, "ended without a verdict", []
    last, asked = progress.last, _asked(progress)
    if last is None:
        return ORANGE, "starting …", [asked, "Locust starts, the players connect."]
    late = "" if last.p99 is None else f", p50 {last.p50:.1f} ms, p99 {last.p99:.1f} ms"
    text = f"{last.players} players, {last.sent} scores/s, {last.pairs:,} pairs/s{late}"
    lines = [asked, *([how_far] if (how_far := _how_far(progress)) else []), text]
    return GREY if last.phase != "measure" else GREEN, f"{PHASES[last.phase]} …", lines


def _asked(progress: RunProgress) -> str:
    """What the run is asked to do."""
    if not progress.facts:
        return "a new run"
    given = progress.facts["arguments"]
    rate = given["players"] * given["updatesPerSecondAndPlayer"]
    return f"{progress.facts['scenario']}: {given['players']:,} players, {round(rate, 1):,.10g} scores a second"


def _how_far(progress: RunProgress) -> str:
    """How long it has measured, and how long it still will."""
    asked = progress.facts.get("arguments", {}).get("measureSeconds") or 0
    if not progress.measured:
        return ""
    if not asked:
        return f"measured for {progress.measured} s, until it is stopped"
    return f"measured for {progress.measured} s of {asked:.4g} s, {max(asked - progress.measured, 0):.4g} s to go"
