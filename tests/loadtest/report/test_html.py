from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from loadtest.judge.gates import Gate, judge
from loadtest.measure.metrics import METRICS, metrics
from loadtest.measure.run_totals import Second, Tally
from loadtest.report.html import faults, page
from loadtest.report.svg import Scale, SvgChart

EVIL = "<script>alert(1)</script>"


def run() -> list[dict]:
    """The lines of a made-up run: ten seconds, a storm in the fifth, a silent sixth."""
    facts = {
        "kind": "run", "format": 1, "started": "2026-01-01", "scenario": "spike", "target": EVIL, "session": "s",
        "arguments": {"players": 3, "gates": []}, "environment": {"python": "3.11"},
    }  # fmt: skip
    lines: list[dict] = [facts]
    tally = Tally(players=3, seconds=10.0, frames=90, bytes=9000, boards_received=90, boards=30, board_updates=60)
    for number in range(10):
        second = Second(1000 + number, "measure", players=3, sent=6, frames=9, owed=18, missed=number == 4)
        second.latency.record([0.001 * (number + 1), 0.02, 1.5 if number == 4 else 0.03])
        second.skew.record([0.001])
        second.cpu = {"generator 0": 0.1}
        second.service = {"http://a": {"cpu": 0.2, "memory": 5e7}}
        if number == 4:
            second.closes = 3
        if number == 5:
            second.frames = 0
        tally.latency.merge(second.latency)
        lines.append({"kind": "second", **second.to_dict()})
    tally.counts.updates = 10
    tally.age.record([0.010])
    tally.inside.record([0.004])
    tally.send_lag.record([0.0002])
    tally.shares = {"generator 0": {"cpuSeconds": 1.0, "receivers": 3, "updates": 10, "pairs": 30}}
    tally.service = {"http://a": {"cpuSeconds": 2.0, "seconds": 10.0, "memory": [5e7] * 10}}
    lines.insert(6, {"kind": "mark", "at": 1003.4, "text": EVIL})
    named = metrics(tally, 3)
    judgement = judge(named, [Gate.parse("latency_p99<50ms")], wrong=[])
    lines.append({"kind": "result", **judgement.to_dict(), "metrics": named, "totals": tally.to_dict()})
    return lines


class Structure(HTMLParser):
    """The page's tags, and what it would load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.loads += [f"{tag} {name}" for name, value in attrs if name in {"src", "href"}]


def test_the_page_needs_nothing_else_and_shows_everything() -> None:
    """One file without scripts or links, with the seven pictures, the figures, the method and the verdict."""
    html = page(run())
    structure = Structure(html)
    assert structure.loads == []
    assert "script" not in structure.tags
    pictures = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    for picture in pictures:
        ET.fromstring(picture)  # noqa: S314 - our own; it is well-formed
    titles = re.findall(r"<figcaption>(.*?)</figcaption>", html)
    for word in ("percentiles", "Heat map", "Distribution", "Hops", "Reach", "Skew", "CPU"):
        assert any(word in title for title in titles), word
    assert len(pictures) == 7
    assert "How this was measured" in html
    assert ">FAIL</b>" in html
    assert METRICS["service_cpu"].label in html


def test_hops_add_up_to_the_oldest_updates_way() -> None:
    """The age of 10 ms less the generator's 0.2 and the service's 4 is the network's."""
    hops = re.findall(r"(sent late by the generator|inside the service|network[^:]*): ([0-9.]+) ms", page(run()))
    assert [float(value) for _, value in hops] == [0.2, 4.0, 5.8]


def test_words_of_marks_that_are_near_stand_below_each_other() -> None:
    """No words cover others; where five rows are full, lines stand alone."""
    chart = SvgChart("t", (0.0, 100.0), (0.0, 1.0))
    for number in range(8):
        chart.rule(50.0 + number, "Redis stopped")
    chart.rule(99.0, "Redis started")
    picture = ET.fromstring(re.findall(r"<svg.*</svg>", chart.svg())[0])  # noqa: S314 - our own
    words = {(float(text.get("x", 0)), float(text.get("y", 0))): text.text for text in picture if text.text}
    stopped = [y for (_, y), text in words.items() if text == "Redis stopped"]
    assert len(stopped) == len(set(stopped)) == 5
    ((x, y),) = [place for place, text in words.items() if text == "Redis started"]
    assert y == min(stopped)
    assert x < 800  # it ends inside the picture


def test_what_went_wrong_is_marked() -> None:
    """Marks, lost connections and seconds in which nothing came are faults, in order of time."""
    assert faults(run()) == [(1003.4, EVIL), (1003.5, "3 closes"), (1004.5, "nothing received")]
    html = page(run())
    assert "3 closes" in html
    assert EVIL not in html
    assert "&lt;script&gt;" in html


def test_an_unfinished_run_has_no_verdict() -> None:
    """A run without its last line is drawn as far as it goes."""
    html = page(run()[:-1])
    assert "UNFINISHED" in html
    assert "Heat map" in html
    assert "Hops" not in html


def test_a_gap_breaks_a_line() -> None:
    """Seconds without a value leave a gap: nothing is drawn that was not measured."""
    chart = SvgChart("t", (0.0, 4.0), (0.0, 1.0))
    chart.line("n", [(0.0, 0.1), (1.0, 0.2), (2.0, None), (3.0, 0.3), (4.0, 0.3)], "#000")
    path = re.search(r'<path d="(M[^"]*)" fill="none"', chart.svg())
    assert path is not None
    assert path[1].count("M") == 2


@pytest.mark.parametrize(("kind", "low", "high", "middle"), [("linear", 0.0, 10.0, 5.0), ("log", 1.0, 100.0, 10.0)])
def test_scales_are_even(kind, low, high, middle) -> None:
    """A scale puts the ends at its ends, the middle (of its kind) in the middle, and clips what lies outside."""
    scale = Scale(low, high, 100.0, 200.0, kind)
    assert [scale.at(value) for value in (low, middle, high, high * 9)] == pytest.approx([100, 150, 200, 200])
    assert scale.ticks()[0] >= low
    assert scale.ticks()[-1] <= high


def test_no_run_is_one_sentence(refuse, tmp_path) -> None:
    """A file that is no run, and one that is not there, are status 2 with one line."""
    other = tmp_path / "other.jsonl"
    other.write_text('{"kind":"second"}\n')
    for path in (other, tmp_path / "none.jsonl"):
        ended = refuse("report", str(path))
        assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert "expected the file of a run (" in ended.err
