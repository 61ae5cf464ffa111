"""What the default run leaves to `nox -s wide` has a representative there."""

from __future__ import annotations

from pathlib import Path

from wide import TESTS, first_of, representatives

ROOT = TESTS.parent


def test_a_wide_test_names_one_of_the_default_run() -> None:
    """It exists, and is not wide itself."""
    named = dict(representatives())
    assert named
    for test, representative in named.items():
        path, name = representative.split("::")
        assert f"def {name}(" in (ROOT / Path(path)).read_text(encoding="utf-8"), f"{test} names {representative}"
        assert representative not in named, f"{test} names {representative}"


def test_the_first_case_is_in_the_default_run() -> None:
    """And all others are wide."""
    first, *others = first_of(1, 2, (3,))
    assert first == 1
    assert [case.values for case in others] == [(2,), (3,)]
    assert {mark.name for case in others for mark in case.marks} == {"wide"}
