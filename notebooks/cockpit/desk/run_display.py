"""What the desk shows of its run: the verdict, the charts, the search for the knee, and where the run is kept."""

from __future__ import annotations

import html
from collections.abc import Sequence

import ipywidgets as widgets

from cockpit.desk.charts import Cpu, Distribution, HeatMap, Percentiles, ReachAndSkew, RunChart
from cockpit.desk.knee_chart import KneeChart
from cockpit.desk.knee_search_state import KneeTrials
from cockpit.runs.fault_timings import Fault
from cockpit.runs.load_run import LoadRun
from cockpit.runs.progress import RunProgress
from cockpit.runs.verdict_card import VerdictCard

GAP = {"grid_gap": "12px"}


class RunDisplay:
    """Widgets that `draw` brings up to date."""

    def __init__(self) -> None:
        self.verdict_card = VerdictCard()
        self.knee_chart = KneeChart()
        self._beside: tuple[RunChart, ...] = (Percentiles(), HeatMap())  # the controls
        self._below: tuple[RunChart, ...] = (Distribution(), ReachAndSkew(), Cpu())
        self._file = widgets.HTML()

    def rows(self, controls: widgets.Widget) -> list[widgets.Widget]:
        """Return the rows of the panel; the first has `controls` on its left."""
        right = widgets.VBox(
            [self.verdict_card.widget, _row(self._beside), self._file],
            layout={"flex": "2.4 1 0", "min_width": "0", "grid_gap": "8px"},
        )
        return [widgets.HBox([controls, right], layout=GAP), _row(self._below), self.knee_chart.widget]

    def draw(self, run: LoadRun | None, search: KneeTrials | None, faults: Sequence[Fault], *, busy: bool) -> None:
        """Show `run`, the current or the last one, and `search`; `busy` is whether a run is under way."""
        progress = None if run is None else run.progress
        starting = RunProgress() if progress is None and busy else progress
        self.verdict_card.draw(starting, faults, running=busy)
        if progress is not None:
            for chart in (*self._beside, *self._below):
                chart.draw(progress)
        if search is not None:
            self.knee_chart.draw(search, progress)
        if run is not None and not busy and run.verdict is not None:
            name = html.escape(str(run.path))
            self._file.value = f'<div class="cockpit-note">kept in <code>{name}</code>, and beside it as a page</div>'


def _row(charts: Sequence[RunChart]) -> widgets.HBox:
    return widgets.HBox([chart.widget for chart in charts], layout=GAP)
