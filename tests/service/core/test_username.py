"""Names of all languages are kept; what is invisible, or overflows its row, is refused."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.username import MAX_USERNAME, clean_username


@pytest.mark.parametrize(
    "name",
    [
        "Zoë", "张伟", "山田 太郎", "김민준", "محمد", "Nguyễn Thị Ánh", "O'Brien <b>", "n" * 32, "!", "7",
        "မောင်မောင်ကြီး",  # Burmese: vowel signs, an asat and a medial on one letter
        "ကျွန်ုပ်",
        "नमस्ते", "श्रीमान्", "क्‍ष",  # Hindi; with a joiner after the virama
        "བསྒྲུབས་", "རྫོང་ཁ",  # Tibetan: stacked letters are marks
        "ශ්‍රීලංකා", "ක්‍ෂේම",  # Sinhala: joiners after a virama
        "می‌خواهم", "علی‌رضا",  # Persian: non-joiners between letters that would join
        "שָׁלוֹם", "สมชาย ใจดี", "ผู้ใหญ่",
        "👩", "👨‍👩‍👧‍👦", "👩🏽‍🚀", "❤️‍🔥", "🙂‍↔️", "🏳️‍🌈", "1️⃣",  # emoji of one, and of several
        "ᠮᠣᠩᠭᠣᠯ", "ᠨ᠋",  # Mongolian, with a variation selector
    ],
)  # fmt: skip
def test_names_of_any_script_are_kept(name: str) -> None:
    """As they are written, in NFC."""
    assert clean_username(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "1 to 32 characters, got 0"),
        ("   ", "1 to 32 characters, got 0"),
        ("n" * 33, "1 to 32 characters, got 33"),
        ("a\u0000", "got U\\+0000"),
        ("a\u202eb", "got U\\+202E .RIGHT-TO-LEFT OVERRIDE"),
        ("a\u2066b", "got U\\+2066"),
        ("a\ufeffb", "got U\\+FEFF"),
        ("a\u00adb", "got U\\+00AD"),
        ("a\u2028b", "got U\\+2028"),
        ("a\ue000", "got U\\+E000"),
        ("a\u0378", "got U\\+0378"),
        ("\u3164", "got U\\+3164 .HANGUL FILLER"),
        ("\u1160", "got U\\+1160"),
        ("\u2800", "got U\\+2800 .BRAILLE PATTERN BLANK"),
        ("a\u034fb", "got U\\+034F"),
        ("\ufe0f", "got U\\+FE0F"),
        ("\u2764\ufe0f\ufe0f", "got U\\+FE0F"),
        ("\u200d", "got U\\+200D .ZERO WIDTH JOINER"),
        ("a\u200db", "got U\\+200D"),
        ("a\u200cb", "got U\\+200C"),
        ("\U0001f469\u200d", "got U\\+200D"),
        ("\U0001f469\u200da", "got U\\+200D"),
        ("\U0001f469\u200c\U0001f469", "got U\\+200C"),
        ("\u0301", "expected a visible character"),
        ("\u093e", "expected a visible character"),
        ("q\u0301\u0301\u0301", "at most 2 accents"),
        ("q\u0301\u0301\ufe0f\u0301", "at most 2 accents"),
        ("q\u0323\u0307\u05b0\u0308", "at most 2 accents"),
        ("\u0f40" + "\u0f71" * 9, "at most 8 marks"),
        ("\u0f40" + "\u0f71" * 8 + "\ufe0f\u0f71", "at most 8 marks"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_refused(name: str, expected: str) -> None:
    """The error names the character, or what there is too much of."""
    with pytest.raises(ValueError, match=expected):
        clean_username(name)


@given(st.text(alphabet=st.characters(), max_size=MAX_USERNAME + 4))
def test_a_name_is_clean_after_it_was_cleaned(name: str) -> None:
    """Whatever is sent either is refused with a ValueError, or is kept by the next check as it is."""
    try:
        cleaned = clean_username(name)
    except ValueError:
        return
    assert clean_username(cleaned) == cleaned
