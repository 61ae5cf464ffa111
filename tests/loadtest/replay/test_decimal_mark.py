from __future__ import annotations

from decimal import Decimal

import pytest

from loadtest.replay.decimal_mark import readings


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["10"], {"point": ["10"]}),
        (["10.0", "-.5", "1e3"], {"point": ["10.0", "-0.5", "1000"]}),
        (["10,0", "+3,25"], {"comma": ["10.0", "3.25"]}),
        (["1.234,5"], {"comma": ["1234.5"]}),
        (["1,234.5"], {"point": ["1234.5"]}),
        (["0.500"], {"point": ["0.5"]}),  # thousands do not begin with 0
        (["1234,567"], {"comma": ["1234.567"]}),  # nor after four digits
        (["1.500"], {"point": ["1.5"], "comma": ["1500"]}),
        (["1.500", "0.5"], {"point": ["1.5", "0.5"]}),  # the other numbers of the column decide
        (["1,500", "2.5"], {"point": ["1500", "2.5"]}),
        (["1,5", "2.5"], {}),
        (["1.2.3"], {}),
        (["1,23,456"], {}),
    ],
)
def test_the_marks_under_which_all_are_numbers(texts: list[str], expected: dict[str, list[str]]) -> None:
    """A column has one decimal mark; two readings remain only where both fit and differ."""
    assert readings(texts) == {mark: [Decimal(number) for number in numbers] for mark, numbers in expected.items()}


def test_a_named_mark_is_the_one_used() -> None:
    """The option decides, and the other mark groups thousands."""
    assert readings(["1.500"], "comma") == {"comma": [Decimal(1500)]}
    assert readings(["10.5"], "comma") == {}
