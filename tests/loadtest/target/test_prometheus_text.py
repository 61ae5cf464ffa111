"""Reading a page of metrics."""

from __future__ import annotations

import pytest

from loadtest.target.prometheus_text import Samples

PAGE = """\
# TYPE connections gauge
connections{worker="0"} 3
connections{worker="1"} 4
# TYPE closed counter
closed_total{closed_by="server",code="4408",worker="0"} 1
closed_total{closed_by="server",code="4408",worker="1"} 2
closed_total{closed_by="client",code="1000",worker="1"} 5
"""


def test_the_figures_of_all_workers_are_added() -> None:
    """By the name alone, and by the value of a label."""
    samples = Samples.parse(PAGE)
    assert samples.value("connections") == 7
    assert samples.by("closed_total", "code") == {"4408": 3, "1000": 5}
    assert samples.by("connections", "worker") == {"0": 3, "1": 4}


@pytest.mark.parametrize("name", ["closed_total", "nothing"])
def test_a_figure_that_is_not_there_is_no_zero(name: str) -> None:
    """One that has other labels, or that does not exist, is a KeyError."""
    with pytest.raises(KeyError, match=name):
        Samples.parse(PAGE).value(name)
