from __future__ import annotations

import pytest

from loadtest.replay.log_format import BadRow, LogFormat, Undecided
from loadtest.replay.log_times import read_times, time_cell


def pace(*texts: str, speed: float | None = 1.0, separator: str = ";", **named: str) -> list[float]:
    """Seconds of each time since the first."""
    cells = [time_cell(line, text) for line, text in enumerate(texts, start=2)]
    seconds = read_times(cells, LogFormat(**named), separator=separator, speed=speed).seconds
    return [float(second - seconds[0]) for second in seconds]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["10", "11.5", " 12 "], [0, 1.5, 2]),
        (["10", "11,5"], [0, 1.5]),
        (["1767225600", "1767239999"], [0, 14_399]),  # Unix time, over hours
        (["0", "3599"], [0, 3599]),
        (["0", "7200.5"], [0, 7200.5]),  # milliseconds have no fraction
        (["2026-01-01 10:00", "2026-01-01T10:00:01,5Z"], [0, 1.5]),
        (["20:00:01", "20:00:02.5", "20:00:03,25"], [0, 1.5, 2.25]),
        (["23:59:00", "24:00:01"], [0, 61]),  # a duration may have more hours than a day
        (["11:59:59 am", "12:00:00 PM", "1:00:00 p.m."], [0, 1, 3601]),
        (["10:15 AM", "1:15 PM"], [0, 10_800]),
        (["59:58.5", "59:59"], [0, 0.5]),  # hours and minutes have no fraction
        (["31/12/2026 23:59:59", "1/1/2027 00:00:00.5"], [0, 1.5]),
        (["12-31-2026", "01-01-2027"], [0, 86_400]),
        (["31.12.26 20:00", "31.12.26 20:01"], [0, 60]),
        (["2026/12/31 9:00:00 PM", "2027/1/1"], [0, 10_800]),
        (["3/4/2026 20:00:01", "3/4/2026 20:00:03"], [0, 2]),  # one evening has the same pace in either order
        (["0.5", "0.50"], [0, 0]),
    ],
)
def test_times_that_can_be_read_in_one_way_are_read(texts: list[str], expected: list[float]) -> None:
    """Every form that leaves the log one pace is taken as it is."""
    assert pace(*texts) == expected


@pytest.mark.parametrize(
    ("texts", "option", "readings"),
    [
        (["0", "3600"], "time_unit", {"s": [0, 3600], "ms": [0, 3.6]}),
        (["1767225600000", "1767225601500"], "time_unit", {"s": [0, 1_500], "ms": [0, 1.5]}),
        (["1767225600000000", "1767225600000500"], "time_unit", {"s": [0, 500], "us": [0, 0.0005]}),
        (["1767225600000000000", "1767225600500000000"], "time_unit", {"s": [0, 5e8], "ns": [0, 0.5]}),
        (["20261231", "20270101"], "time_unit", {"s": [0, 8870], "YYYYMMDD": [0, 86_400]}),
        (["20261231.0", "20270101.0"], "time_unit", {"s": [0, 8870], "YYYYMMDD": [0, 86_400]}),
        (["20261231235959", "20270101000000"], "time_unit", {"s": [0, 8_869_764_041], "YYYYMMDDhhmmss": [0, 1]}),
        (["46023.5", "46024.5"], "time_unit", {"s": [0, 1], "excel-days": [0, 86_400]}),
        (["0.50000", "0.50001"], "time_unit", {"s": [0, 0.00001], "excel-days": [0, 0.864]}),
        (["72000", "75600"], "time_unit", {"s": [0, 3600], "ms": [0, 3.6], "excel-days": [0, 311_040_000]}),
        (["10:15", "10:16"], "time_unit", {"hh:mm": [0, 60], "mm:ss": [0, 1]}),
        (["23:59:59", "00:00:01"], "time_unit", {"hh:mm:ss": [0, -86_398], "hh:mm:ss-onward": [0, 2]}),
        (["59:58.5", "00:01.0"], "time_unit", {"mm:ss": [0, -3597.5], "mm:ss-onward": [0, 2.5]}),
        (["3/4/2026", "3/5/2026"], "date_order", {"dmy": [0, 30 * 86_400], "mdy": [0, 86_400]}),
        (["1.500", "2.500"], "decimal", {"point": [0, 1], "comma": [0, 1000]}),
    ],
)
def test_times_with_several_paces_are_a_question(
    texts: list[str], option: str, readings: dict[str, list[float]]
) -> None:
    """Numbers of an unknown unit and the like are refused, and each value of the option gives its own pace."""
    with pytest.raises(Undecided) as undecided:
        pace(*texts)
    assert undecided.value.field == option
    assert {one.value: pace(*texts, **{option: one.value}) for one in undecided.value.choices} == readings


def test_at_full_speed_only_the_order_counts() -> None:
    """A unit makes no difference there, and the reading says so; the order of day and month does."""
    assert pace("1767225600000", "1767225601500", speed=None) == [0, 1500]
    cells = [time_cell(2, "20261231"), time_cell(3, "20270101")]
    assert "which makes no difference" in read_times(cells, LogFormat(), speed=None).meaning
    assert pace("3/4/2026", "3/5/2026", speed=None) == [0, 30 * 86_400]
    with pytest.raises(Undecided):
        pace("3/4/2026", "2/5/2026", speed=None)


def test_a_fast_replay_of_long_seconds_is_no_question() -> None:
    """An evening in seconds that takes a minute to replay is not asked about."""
    assert pace("0", "7200", speed=120.0) == [0, 7200]


def test_beside_commas_a_point_separates_decimals() -> None:
    """In a score log as it is documented, 1.500 is one and a half."""
    assert pace("1.500", "2.500", separator=",") == [0, 1]


def test_the_clock_goes_on_past_midnight_and_back() -> None:
    """Rows a little out of order around midnight stay on their side of it."""
    texts = ("23:59:58", "00:00:01", "23:59:59", "00:00:02")
    assert pace(*texts, time_unit="hh:mm:ss-onward") == [0, 3, 1, 4]


@pytest.mark.parametrize(
    ("texts", "named", "error"),
    [
        (["soon"], {}, "line 2: time: expected seconds or an ISO 8601 time, got 'soon'"),
        (["1,5", "2.5"], {}, "line 3: time: expected seconds"),
        (["10.05.30"], {}, "line 2: time: expected seconds"),  # a date, or a time in Finland
        (["1.76E+12"], {}, "line 2: time: expected all digits, got '1.76E+12', which a spreadsheet has rounded"),
        (["9" * 400], {}, "line 2: time: expected seconds"),
        (["1" * 100_000 + "x"], {}, "line 2: time: expected seconds"),  # in linear time
        (["13/04/2026", "04/13/2026"], {}, "line 3: time: expected a date in the order day, month, year, got"),
        (["04/13/2026"], {"date_order": "dmy"}, "line 2: time: expected a date in the order day, month, year, got"),
        (["30/02/2026"], {}, "line 2: time: expected a date in the order"),
        (["1/1/2026 25:00"], {}, "line 2: time: expected a date in the order"),
        (["10:61:00"], {}, "line 2: time: expected hh:mm:ss, got '10:61:00'"),
        (["10:15", "13:15 PM"], {}, "line 3: time: expected hh:mm or mm:ss, got '13:15 PM'"),
        (["20261331"], {"time_unit": "YYYYMMDD"}, "line 2: time: expected dates written YYYYMMDD, got '20261331'"),
        (["2026-01-01"], {"time_unit": "ms"}, "line 2: time: expected milliseconds, got '2026-01-01'"),
        (["2026-01-01"], {"date_order": "dmy"}, "line 2: time: expected day, month, year, got '2026-01-01'"),
        (["1"], {"time_unit": "hh:mm"}, "line 2: time: expected hours and minutes, got '1'"),
    ],
)
def test_times_that_do_not_exist_are_refused(texts: list[str], named: dict[str, str], error: str) -> None:
    """A time that no reading of the column gives is named with its line and what was expected."""
    with pytest.raises(BadRow) as bad:
        pace(*texts, **named)
    assert str(bad.value).startswith(error)
