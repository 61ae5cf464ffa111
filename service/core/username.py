"""Which names may be shown: those of all languages, and nothing that is invisible or overflows its row.

- A joiner (ZWNJ, ZWJ) is allowed where a script needs it (RFC 5892, appendices A.1 and A.2, as `idna` checks them),
  and ZWJ between two emoji, which makes one of them.
- Vowel signs and other marks of a letter are part of it. Marks that stack above or below (combining class 200 and
  more) are limited, so that a name stays in its row.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from idna import valid_contextj

MAX_USERNAME: Final = 32
MOST_STACKED: Final = 2  # marks of combining class 200 and more between two other characters
MOST_MARKS: Final = 8  # of any class

ZWJ: Final = "\u200d"
JOINERS: Final = frozenset({"\u200c", ZWJ})
_FORBIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Shown as nothing at all (Default_Ignorable_Code_Point) or as a blank, although their category says otherwise.
_INVISIBLE: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_SELECTORS: Final = frozenset(
    map(chr, [*range(0x180B, 0x180E), 0x180F, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)])
)  # of a variant of the character before
_SKIN_TONES: Final = frozenset(map(chr, range(0x1F3FB, 0x1F400)))
_ARROWS: Final = frozenset("\u2194\u2195")  # emoji whose category is that of mathematics


def clean_username(name: str) -> str:
    """The name in NFC without surrounding blanks. Raises ValueError if it may not be shown."""
    name = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(name) <= MAX_USERNAME:
        raise ValueError(f"expected 1 to {MAX_USERNAME} characters, got {len(name)}")
    for place, character in enumerate(name):
        if not _may_stand(name, place):
            raise ValueError(f"expected printable characters, got U+{ord(character):04X}{_kind(character)}")
    if not any(map(_is_visible, name)):
        raise ValueError("expected a visible character, got none")
    _check_marks(name)
    return name


def _may_stand(name: str, place: int) -> bool:
    character = name[place]
    if character in JOINERS:
        return _joins(name, place)
    if character in _SELECTORS:
        return place > 0 and (_is_visible(name[place - 1]) or _is_mark(name[place - 1]))
    return character not in _INVISIBLE and unicodedata.category(character) not in _FORBIDDEN_CATEGORIES


def _joins(name: str, place: int) -> bool:
    """Whether the joiner at this place joins letters that are written with one, or emoji."""
    try:
        if valid_contextj(name, place):
            return True
    except ValueError:  # a neighbour that has no name, which is refused by its category
        return False
    before, after = name[:place].rstrip("".join(_SELECTORS | _SKIN_TONES)), name[place + 1 :]
    return name[place] == ZWJ and _is_emoji(before[-1:]) and _is_emoji(after[:1])


def _is_emoji(character: str) -> bool:
    return character != "" and (unicodedata.category(character) == "So" or character in _ARROWS)


def _is_visible(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNPS" and character not in _INVISIBLE


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M" and character not in _SELECTORS


def _check_marks(name: str) -> None:
    stacked = marks = 0
    for character in name:
        if character in JOINERS or character in _SELECTORS:  # part of what they stand in
            continue
        marks = marks + 1 if _is_mark(character) else 0
        stacked = stacked + (unicodedata.combining(character) >= 200) if marks else 0
        if stacked > MOST_STACKED:
            raise ValueError(f"expected at most {MOST_STACKED} accents on one letter, got more")
        if marks > MOST_MARKS:
            raise ValueError(f"expected at most {MOST_MARKS} marks on one letter, got more")


def _kind(character: str) -> str:
    name = unicodedata.name(character, "")
    return f" ({name})" if name else ""
