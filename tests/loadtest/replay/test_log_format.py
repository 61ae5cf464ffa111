from __future__ import annotations

import pytest

from loadtest.replay.log_format import LogFormat


@pytest.mark.parametrize(
    ("named", "error"),
    [
        ({"separator": "dash"}, "--separator: expected one of comma, semicolon, tab, bar, got dash"),
        ({"time_unit": "weeks"}, "--time-unit: expected one of s, ms,"),
        ({"date_order": "ydm"}, "--date-order: expected one of dmy, mdy, ymd, got ydm"),
        ({"decimal": "dot"}, "--decimal: expected one of point, comma, got dot"),
        ({"encoding": "utf-9"}, "--encoding: expected a text encoding"),
        ({"encoding": "rot13"}, "--encoding: expected a text encoding"),
        ({"columns": "when=Zeit"}, "--columns: expected each of time, userId, username, points at most once"),
        ({"columns": "time"}, "--columns: expected each of"),
        ({"columns": "time="}, "--columns: expected each of"),
        ({"columns": "time=a,time=b"}, "--columns: expected each of"),
    ],
)
def test_a_value_that_does_not_exist_is_refused(named: dict[str, str], error: str) -> None:
    """Each option says what it expected, before the log is opened."""
    with pytest.raises(ValueError, match="expected") as wrong:
        LogFormat(**named)
    assert str(wrong.value).startswith(error)
