from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spreadsheet import spreadsheets

from loadtest.data.generate_quiz_night import generate
from loadtest.replay.log_format import BadRow, LogFormat, Undecided, option
from loadtest.replay.score_log import LogRow, compare, fold, parse, read

HEADER = "time,userId,username,points\n"
SAMPLE = Path(__file__).parents[3] / "loadtest" / "data" / "quiz_night.csv"


def test_rows_come_in_order_of_time_and_equal_times_keep_their_order() -> None:
    """Sorting by time is stable."""
    rows = parse(HEADER + "2,a,A,1\n1,b,B,2\n2,c,C,3\n1.0,d,D,4\n")
    assert [row.user_id for row in rows] == ["b", "d", "a", "c"]
    assert [row.line for row in rows] == [3, 5, 2, 4]


def test_iso_times_are_read_with_and_without_a_zone() -> None:
    """ISO 8601 times become seconds; without a zone they are UTC."""
    rows = parse(HEADER + "2026-01-01T10:00:00Z,a,A,1\n2026-01-01T10:00:01.5,b,B,1\n2026-01-01T12:00:03+02:00,c,C,1\n")
    assert [row.time - rows[0].time for row in rows] == [0.0, 1.5, 3.0]


def test_quoted_names_and_other_line_ends_are_read() -> None:
    """A CSV of a spreadsheet is read: byte order mark aside, CRLF, quotes, and names with commas and line ends."""
    rows = parse('time,userId,username,points\r\n1,a,"Doe, Jane",5\r\n2,b,"Zoë ""Z""",-5\r\n')
    assert [(row.username, row.points) for row in rows] == [("Doe, Jane", 5), ('Zoë "Z"', -5)]


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("", 1, "expected the header"),
        ("time,userId,points\n", 1, "expected the header"),
        (HEADER + "1,a,A\n", 2, "expected 4 fields, got 3"),
        (HEADER + "1,a,A,1,1\n", 2, "expected 4 fields, got 5"),
        (HEADER + "1,a,A,1\nsoon,a,A,1\n", 3, "time: expected seconds or an ISO 8601 time, got 'soon'"),
        (HEADER + "nan,a,A,1\n", 2, "time: expected seconds"),
        (HEADER + "inf,a,A,1\n", 2, "time: expected seconds"),
        (HEADER + ",a,A,1\n", 2, "time: expected seconds"),
        (HEADER + "1,a,A,1\n2026-01-01,a,A,1\n", 3, "time: expected a number of seconds as in the rows before"),
        (HEADER + "1,a b,A,1\n", 2, "userId: expected 1 to 64 characters"),
        (HEADER + "1,,A,1\n", 2, "userId: expected"),
        (HEADER + f"1,{'a' * 65},A,1\n", 2, "userId: expected"),
        (HEADER + "1,é,A,1\n", 2, "userId: expected"),
        (HEADER + "1,a\n,A,1\n", 2, "expected 4 fields"),
        (HEADER + "1,a,,1\n", 2, "username: expected 1 to 32 characters, got 0"),
        (HEADER + f"1,a,{'n' * 33},1\n", 2, "username: expected 1 to 32 characters, got 33"),
        (HEADER + "1,a,A\u202eB,1\n", 2, "username: expected printable characters"),
        (HEADER + "1,a,Q\u0301\u0301\u0301,1\n", 2, "username: expected at most 2 accents on one letter"),
        (HEADER + "1,a,A,1.5\n", 2, "points: expected an integer from -1000000 to 1000000, got '1.5'"),
        (HEADER + "1,a,A,1000001\n", 2, "points: expected an integer"),
        (HEADER + "1,a,A,-1000001\n", 2, "points: expected an integer"),
        (HEADER + "1,a,A,\n", 2, "points: expected an integer"),
        (HEADER + "1,a,A,1e3\n", 2, "points: expected an integer"),
        (HEADER + "1,a,A,true\n", 2, "points: expected an integer"),
        (HEADER + '1,a,A,1\n2,b,"B,1\n3,c,C,1\n', 3, 'expected a second " that closes the quoted field, got none'),
        (HEADER + '1,a,"A' + "\n2,b,B,1" * 20_000, 2, 'expected a second " that closes'),
        (HEADER + '1,a,"A,1\n2,b,"B",1\n', 2, "expected a comma or the end of the line after a quoted field"),
        (HEADER, 2, "expected at least one row"),
        (HEADER + '1,a,"A\nB",1\n', 2, "username: expected printable characters"),
    ],
)
def test_a_bad_row_is_named_by_its_line(text: str, line: int, expected: str) -> None:
    """Everything a service would refuse is refused with the line, what was expected and what came."""
    with pytest.raises(BadRow) as bad:
        parse(text)
    assert str(bad.value).startswith(f"line {line}: {expected}")


def test_a_total_beyond_the_limit_is_named_by_the_row_that_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Totals are summed in order of time, not of lines."""
    monkeypatch.setattr("loadtest.replay.score_log.MAX_TOTAL", 25)
    parse(HEADER + "1,a,A,20\n2,a,A,-10\n3,a,A,15\n")
    with pytest.raises(BadRow, match="line 2: points: expected a total from -25 to 25, got 35"):
        parse(HEADER + "2,a,A,15\n1,a,A,20\n")


def test_bytes_that_are_no_utf8_are_named_by_their_line(tmp_path: Path) -> None:
    """A file in another encoding than the one named is refused where it stops being that."""
    file = tmp_path / "latin1.csv"
    file.write_bytes(HEADER.encode() + b"1,a,A,1\n2,b,Zo\xeb,1\n")
    with pytest.raises(BadRow, match="line 3: expected UTF-8, got the byte 0xeb"):
        read(file, LogFormat(encoding="utf-8"))


@settings(max_examples=100)
@given(spreadsheets())
def test_every_export_is_read_exactly_with_its_format_named(tmp_path_factory, exported) -> None:
    """Whatever separator, encoding, header, numbers and times a spreadsheet writes: each row comes back as it was."""
    sheet, scores = exported
    rows = read(_file(tmp_path_factory, sheet.export(scores)), sheet.format())
    expected = sorted(scores, key=lambda score: score.milliseconds)
    assert [(row.user_id, row.username, row.points) for row in rows] == [score[1:] for score in expected]
    assert _pace(rows) == [score.milliseconds - expected[0].milliseconds for score in expected]


@settings(max_examples=150)
@given(spreadsheets())
def test_no_export_gives_a_wrong_point(tmp_path_factory, exported) -> None:
    """Where nothing is named, points and times are what was written, or the log is refused with the option to name.

    The times of a log in milliseconds that is short enough are those of one in seconds.
    """
    sheet, scores = exported
    try:
        rows = read(_file(tmp_path_factory, sheet.export(scores)))
    except Undecided as undecided:
        assert f"use {option(undecided.field)} " in str(undecided)
        return
    expected = sorted(scores, key=lambda score: score.milliseconds)
    assert [(row.user_id, row.points) for row in rows] == [(score.user_id, score.points) for score in expected]
    if sheet.times != "milliseconds":
        assert _pace(rows) == [score.milliseconds - expected[0].milliseconds for score in expected]


def _pace(rows: list[LogRow]) -> list[int]:
    """Milliseconds of each row since the first."""
    return [round(1000 * (row.time - rows[0].time)) for row in rows]


def _file(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> Path:
    file = tmp_path_factory.getbasetemp() / "exported.csv"
    file.write_bytes(data)
    return file


def test_the_sample_log_comes_from_its_generator() -> None:
    """The generator gives the file in the repository byte for byte, and another evening for another seed."""
    assert generate().encode() == SAMPLE.read_bytes()
    assert generate(seed=1) != generate()


def test_the_sample_log_is_a_believable_evening() -> None:
    """Sixty players, ten minutes, negative points, and ties on the final board."""
    rows = read(SAMPLE)
    totals = fold(rows)
    assert len(totals) == 60
    assert 540 < rows[-1].time <= 600
    assert any(row.points < 0 for row in rows)
    assert len(set(totals.values())) < 60


def board(totals: dict[str, int], *, dense: bool = False) -> list[dict[str, object]]:
    """The board of the wire contract, written naively."""
    ordered = sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    distinct = sorted(set(totals.values()), reverse=True)
    return [
        {
            "userId": user_id,
            "score": score,
            "rank": distinct.index(score) + 1 if dense else 1 + sum(other > score for other in totals.values()),
        }
        for user_id, score in ordered
    ]


totals_of_players = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(-3, 3), min_size=1)


@given(totals_of_players, st.booleans())
def test_the_right_board_has_no_differences(totals: dict[str, int], dense: bool) -> None:
    """A board by either tie rule matches."""
    assert compare(totals, board(totals, dense=dense)) == []


@given(totals_of_players, st.booleans(), st.data())
def test_a_wrong_score_is_a_difference(totals: dict[str, int], dense: bool, data: st.DataObject) -> None:
    """A score that is one off is found, with what was expected and what came."""
    wrong = board(totals, dense=dense)
    victim = data.draw(st.sampled_from(wrong))
    victim["score"] += 1  # type: ignore[operator]
    found = [str(difference) for difference in compare(totals, wrong)]
    assert any(line.startswith(f"{victim['userId']}: expected score {totals[victim['userId']]}") for line in found)  # type: ignore[index]


def test_order_missing_and_foreign_players_are_differences() -> None:
    """Tied players in the wrong order, players who are not there, and players who should not be there."""
    totals = {"a": 5, "b": 5, "c": 1}
    entries = board(totals)
    assert {d.user_id for d in compare(totals, [entries[1], entries[0], entries[2]])} == {"a", "b"}
    assert {d.user_id for d in compare(totals, entries[:2])} == {"c"}
    assert {d.user_id for d in compare(totals, [*entries, {"userId": "x", "score": 0, "rank": 4}])} == {"x"}


def test_ranks_by_no_one_rule_are_a_difference() -> None:
    """A board that ranks one tie this way and another that way is wrong."""
    totals = {"a": 5, "b": 5, "c": 4, "d": 4, "e": 3}
    entries = board(totals)
    entries[4]["rank"] = 4
    assert [d.user_id for d in compare(totals, entries)] == ["e"]
