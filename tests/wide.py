"""Tests of a kind: the default run has the first of them, `nox -s wide` the others as well.

A test that is marked `wide("tests/…::test_…")` names its representative in the default run; a name alone is in the
same file. Of a test with parameters, `first_of` marks all cases but the first.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent


def first_of(first: object, *others: object) -> list[Any]:
    """The cases of a parametrized test, of which the default run has the first; a tuple is a case of several values."""
    return [first, *(pytest.param(*_values(other), marks=pytest.mark.wide("the first case")) for other in others)]


def _values(case: object) -> tuple[object, ...]:
    return case if isinstance(case, tuple) else (case,)


def representatives() -> Iterator[tuple[str, str]]:
    """Each test that is marked as a whole, and the one it names, as paths from the root with names."""
    for file in sorted(TESTS.rglob("test_*.py")):
        place = f"tests/{file.relative_to(TESTS)}"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            for named in map(_named, getattr(node, "decorator_list", [])):
                if named is not None:
                    yield f"{place}::{node.name}", named if "::" in named else f"{place}::{named}"


def _named(decorator: ast.expr) -> str | None:
    if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.wide":
        return str(ast.literal_eval(decorator.args[0]))
    return None
