"""A lot of receipts, searched for first boards."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadtest.measure.receipt_lot import NEWEST, Lot, Receipts

Row = tuple[int, int, int]  # receiver, version, epoch
VERSIONS = range(9)
ROWS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(VERSIONS), st.integers(0, 1)), min_size=1, max_size=20)
RECEIVERS = np.arange(5)  # one of whom nothing was received


def lot(rows: list[Row]) -> Lot:
    """Receipts that arrived one second apart."""
    receiver, version, epoch = (np.array(column) for column in zip(*rows, strict=True))
    time = np.arange(len(rows), dtype=float)
    return Lot(0, Receipts(receiver, version, epoch, time, time))


def naive(rows: list[Row], versions: dict[int, int]) -> list[int]:
    """Receiver by receiver: the row of the first receipt with one of the versions of epochs, -1 without one."""
    return [
        next((at for at, (who, version, epoch) in enumerate(rows)
              if who == receiver and version >= versions.get(epoch, NEWEST)), -1)
        for receiver in RECEIVERS.tolist()
    ]  # fmt: skip


@given(ROWS, st.dictionaries(st.integers(0, 1), st.sampled_from(VERSIONS), min_size=1))
def test_the_first_receipt_with_a_version_is_found(rows: list[Row], versions: dict[int, int]) -> None:
    """Of several epochs the earliest counts."""
    assert lot(rows).first(RECEIVERS, versions).row.tolist() == naive(rows, versions)


@given(ROWS, st.sampled_from(VERSIONS))
def test_what_was_found_holds_for_the_versions_that_it_names(rows: list[Row], version: int) -> None:
    """For each of them a search of its own finds the same; and it holds for the version that was searched."""
    one = lot(rows)
    found = one.first(RECEIVERS, {0: version})
    assert found.above < version <= found.up_to
    for other in VERSIONS:
        if found.above < other <= found.up_to:
            assert naive(rows, {0: other}) == found.row.tolist()


def test_neighbours_share_what_was_found() -> None:
    """Two receivers with boards of the versions 3 and 7: 4 to 7 are found together."""
    found = lot([(0, 3, 0), (1, 3, 0), (1, 7, 0), (0, 7, 0)]).first(np.array([0, 1]), {0: 5})
    assert (found.row.tolist(), found.above, found.up_to) == ([3, 2], 3, 7)
