from __future__ import annotations

import pytest

from loadtest.replay.log_format import BadRow, LogFormat, Undecided
from loadtest.replay.score_table import ScoreTable

HEADER = "time,userId,username,points\n"


def rows(text: str, columns: str = "", separator: str = "") -> list[tuple[object, ...]]:
    """The cells of all rows."""
    table = ScoreTable.of(text, LogFormat(columns=columns, separator=separator))
    return [tuple(cells) for cells in table.rows()]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("first_line", ["", "sep={}\n", '"SEP={}"\r\n'])
def test_the_separator_is_seen_in_the_header(mark: str, first_line: str) -> None:
    """Comma, semicolon, tab and bar separate, with or without Excel's first line; line numbers count that line."""
    text = first_line.format(mark) + HEADER.replace(",", mark) + mark.join(["1", "a", '"A,;\t|"', "5"])
    assert rows(text) == [(3 if first_line else 2, "1", "a", "A,;\t|", "5")]


@pytest.mark.parametrize(
    "header", ["POINTS,Username,UserID,Time", " points ,user name,user_id,TIME", "Points,user-name,USER ID,time"]
)
def test_the_header_may_have_any_case_and_order(header: str) -> None:
    """Case, order, blanks, `_` and `-` of the names do not matter."""
    assert rows(f"{header}\n5,A,a,1\n") == [(2, "1", "a", "A", "5")]


def test_other_columns_are_left_out_and_named() -> None:
    """A column that the replay does not need is left out, whatever is in it, and the table says so."""
    table = ScoreTable.of("team,time,userId,,username,points\nred,1,a,x,A,5\n", LogFormat())
    assert [tuple(cells) for cells in table.rows()] == [(2, "1", "a", "A", "5")]
    assert table.unused == ["team"]


@pytest.mark.parametrize(
    "columns",
    ["time=Zeit,userId=Spieler,username=Name, kurz,points=Punkte", "points=#1,username=#2,userId=spieler,time=#4"],
)
def test_columns_with_other_names_are_mapped(columns: str) -> None:
    """`--columns` names a column as its header does, even with a comma, or by its number."""
    assert rows("Punkte;Name, kurz;Spieler;Zeit\n5;A;a;1\n", columns) == [(2, "1", "a", "A", "5")]


def test_blank_rows_are_left_out_and_counted() -> None:
    """Rows of separators and empty lines hold nothing, also above the header; the line numbers count them."""
    table = ScoreTable.of(f",,,\n{HEADER}1,a,A,5\n\n , ,,\n2,b,B,6\n,,,\n,,,\n", LogFormat())
    assert [cells.line for cells in table.rows()] == [3, 6]
    assert table.blank == 4


@pytest.mark.parametrize(
    ("text", "columns", "error"),
    [
        ("sep=x\n" + HEADER, "", "line 1: expected sep= and a comma, semicolon, tab, bar, got 'sep=x'"),
        ("sep=;\n" + HEADER, "", "line 2: expected the header time,userId,username,points, got"),
        ("Zeit;userId;username;points\n", "", "line 1: expected the header time,userId,username,points, got"),
        (HEADER, "time=Zeit", "line 1: expected the header Zeit,userId,username,points, got"),
        (HEADER, "time=#5", "line 1: expected the header #5,userId,username,points, got"),
        (HEADER, "time=points", "line 1: --columns: expected four different columns, got time=points"),
        (HEADER + "1,a,Doe, Jane,5\n", "", "line 2: expected 4 fields, got 5"),
        (HEADER + "1,a,Agent,7,\n", "", "line 2: expected 4 fields, got 5"),
        (HEADER.strip() + ",note\n1,a,Agent,7\n", "", "line 2: expected 5 fields, got 4"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused(text: str, columns: str, error: str) -> None:
    """A missing column is named; a row of another length is refused, as points may stand in the wrong column."""
    with pytest.raises(BadRow) as bad:
        rows(text, columns)
    assert str(bad.value).startswith(error)


def test_a_header_that_lacks_names_says_how_to_map_them() -> None:
    """A spreadsheet in another language is told the option."""
    with pytest.raises(BadRow, match="--columns maps other names, as in time=Zeit,points=Punkte"):
        rows("Zeit;Spieler;Name;Punkte\n")


def test_a_name_that_occurs_twice_is_a_question() -> None:
    """Two columns of points are refused with the option that decides, and it keeps what was said before."""
    text = "Zeit,userId,username,points,Points\n1,a,A,5,6\n"
    with pytest.raises(Undecided) as undecided:
        rows(text, "time=Zeit")
    assert [choice.value for choice in undecided.value.choices] == ["time=Zeit,points=#4", "time=Zeit,points=#5"]
    assert rows(text, "time=Zeit,points=#5") == [(2, "1", "a", "A", "6")]
    assert rows(text, "time=Zeit,points=Points") == [(2, "1", "a", "A", "6")]


def test_a_header_for_two_separators_is_a_question() -> None:
    """A header that names all columns under two separators is refused with the option that decides."""
    text = "time,userId,username,points,;time;userId;username;points\n1,a,A,5,;x;x;x\n"
    with pytest.raises(Undecided, match=r"use --separator comma .* or --separator semicolon"):
        rows(text)
    assert rows(text, separator="comma") == [(2, "1", "a", "A", "5")]
