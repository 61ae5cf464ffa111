from __future__ import annotations

import pytest

from loadtest.replay.log_format import BadRow, Undecided
from loadtest.replay.text_encoding import decode

TEXT = "time,userId,username,points\n1,a,Zoë,5\n"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "UTF-8"), ("utf-8-sig", "UTF-8"), ("utf-16", "UTF-16"), ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"), ("utf-32", "utf-32-le"), ("cp1252", "Windows-1252"),
    ],
)  # fmt: skip
def test_the_bytes_show_their_encoding(encoding: str, shown: str) -> None:
    """With a byte order mark or without, the text comes back without it, and the encoding is named."""
    assert decode(TEXT.encode(encoding)) == (TEXT, shown)


def test_a_named_encoding_is_the_one_used() -> None:
    """Bytes that would be Windows-1252 are Cyrillic if the user says so."""
    data = TEXT.replace("Zoë", "Иван").encode("cp1251")
    assert decode(data, "cp1251") == (TEXT.replace("Zoë", "Иван"), "cp1251")
    assert decode(data)[1] == "Windows-1252"


@pytest.mark.parametrize(
    ("data", "encoding", "error"),
    [
        (b"a\n\x81\n", "", "line 2: expected Windows-1252, got the byte 0x81; --encoding names another"),
        (b"a\n\nZo\xeb\n", "utf-8", "line 3: expected UTF-8, got the byte 0xeb; --encoding names another"),
        ("ab\n\ud800".encode("utf-16-le", "surrogatepass"), "", "line 2: expected UTF-16, got the byte 0x00"),
    ],
)
def test_bytes_of_another_encoding_are_named_by_their_line(data: bytes, encoding: str, error: str) -> None:
    """Bytes that the encoding does not have are refused with their line and the option that names another."""
    with pytest.raises(BadRow) as bad:
        decode(data, encoding)
    assert str(bad.value).startswith(error)


def test_bytes_that_are_partly_utf8_are_not_guessed_at() -> None:
    """One line in UTF-8 and one in Windows-1252 is a question, and the option decides it."""
    data = "a,é\n".encode() + b"b,\xe9\n"
    with pytest.raises(Undecided, match=r"line 2: expected UTF-8 as in other lines, got .* use --encoding cp1252"):
        decode(data)
    assert decode(data, "cp1252")[0] == "a,Ã©\nb,é\n"
