"""The charts, without a browser: what they would send."""

from __future__ import annotations

import numpy as np
from cockpit.live.charts import FREE, BoardChart, LatencyChart, RateChart, Slots
from cockpit.live.live_state import BoardRow, BoardView, LiveState
from cockpit.live.outage_record import MARKS_KEPT
from cockpit.live.saved_picture import picture
from cockpit.ui.bqplot_parts import above


def entries(*users: str) -> tuple[BoardRow, ...]:
    return tuple(
        BoardRow(rank, user, user.title(), "🦊", "#d55e00", 100 - rank, connected=True)
        for rank, user in enumerate(users, start=1)
    )


def live(*users: str, version: int = 1) -> LiveState:
    state = LiveState()
    state.take_board(BoardView("e", version, 3, 9.99, entries(*users), len(users), len(users)), at=10.0)
    return state


def test_a_player_keeps_the_slot_while_the_rank_changes() -> None:
    """Overtaking changes positions, never slots; a player who leaves the board frees one."""
    slots = Slots(3)
    places = slots.place(entries("alice", "bob", "charlie"))
    assert [place and place[0] for place in places] == [0, 1, 2]
    places = slots.place(entries("charlie", "alice", "bob"))
    assert [place and (place[1].user, place[0]) for place in places] == [("alice", 1), ("bob", 2), ("charlie", 0)]
    places = slots.place(entries("diana", "charlie"))
    assert [place and (place[1].user, place[0]) for place in places] == [("diana", 0), None, ("charlie", 1)]


def test_the_board_moves_bars_and_sends_nothing_while_it_is_the_same() -> None:
    """After an overtaking the same array element has the other position; an equal board is not drawn again."""
    chart = BoardChart()
    chart.draw(live("alice", "bob").view(11.0))
    first = chart._bars.y
    assert first[:3].tolist() == [[0.0, 0.0], [1.0, 1.0], [FREE, FREE]]
    assert chart._bars.x[:3].tolist() == [[0.0, 99.0], [0.0, 98.0], [0.0, 0.0]]
    chart.draw(live("alice", "bob").view(12.0))
    assert chart._bars.y is first
    chart.draw(live("bob", "alice", version=2).view(13.0))
    assert chart._bars.y[:2].tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert chart._labels.text[0] == "2. 🦊 Alice  98"


def test_the_timelines_show_the_last_minute() -> None:
    """Rate and latency end at the last full second; a second without an update is a gap, not a zero."""
    rate, latency = RateChart(), LatencyChart()
    state = live("alice")
    state.take_own(0.004, at=10.5)
    rate.draw(state.view(11.0))
    latency.draw(state.view(11.0))
    assert rate._line.y[-1] == 3.0
    assert list(latency._typical.x) == [-1.0]
    assert round(latency._typical.y[0]) == 10
    assert list(latency._own.x) == [-0.5]
    state.take_board(BoardView("e", 2, 1, 12.98, entries("alice"), 1, 1), at=13.0)
    latency.draw(state.view(14.0))
    assert list(latency._worst.x) == [-4.0, -3.0, -2.0, -1.0]
    assert list(np.isnan(latency._worst.y)) == [False, True, True, False]


def test_the_moments_of_an_outage_stand_on_both_timelines_and_in_the_picture() -> None:
    """Each moment is a line with its word where it happened, moves left with time, and is out of sight before."""
    charts = RateChart(), LatencyChart()
    state = live("alice")
    for chart in charts:
        chart.draw(state.view(11.0))
        assert set(chart._moments._words.text) == {""}
        assert chart._moments._lines.x.max() < -60
    assert ">stop<" not in picture(state.view(11.0)).data
    state.outages.stop(12.0)
    state.take_board(BoardView("f", 1, degraded=True), at=12.5)
    for now in (13.0, 20.0):
        for chart in charts:
            chart.draw(state.view(now))
            assert list(chart._moments._words.text[:3]) == ["stop", "noticed", ""]
            assert list(chart._moments._words.x[:2]) == [12.0 - now, 12.5 - now]
            assert list(chart._moments._lines.x[0]) == [12.0 - now, 12.0 - now]
            assert chart._moments._words.y[0] != chart._moments._words.y[1]
            assert len(chart._moments._words.text) == MARKS_KEPT
    svg = picture(state.view(20.0)).data
    assert svg.count(">stop<") == svg.count(">noticed<") == 2
    charts[0].draw(state.view(100.0))
    assert set(charts[0]._moments._words.text) == {""}


def test_an_axis_grows_in_calm_steps() -> None:
    """The top of an axis is a round number at or above the value."""
    assert [above(value) for value in (0, 10, 11, 149, 150, 151, 8000)] == [10, 10, 15, 150, 150, 200, 10_000]


def test_a_picture_is_svg_whatever_the_names_are() -> None:
    """Names with dollars, markup or letters that the font lacks are text in the picture."""
    state = LiveState()
    named = tuple(
        BoardRow(rank, f"u{rank}", name, "🦊", "#d55e00", -rank, connected=True)
        for rank, name in enumerate((r"$\frac", "<b>&", "名前"), start=1)
    )
    state.take_board(BoardView("e", 1, 3, None, named, 3, 3), at=10.0)
    svg = picture(state.view(11.0)).data
    assert "$\\frac" in svg
    assert "&lt;b&gt;&amp;" in svg
    assert "名前" in svg


def test_a_picture_of_nothing_is_still_a_picture() -> None:
    """Before the first board there is an empty picture, not an error."""
    assert "<svg" in picture(LiveState().view(5.0)).data
