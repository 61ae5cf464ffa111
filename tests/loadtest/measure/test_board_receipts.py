"""The log of receipts."""

from __future__ import annotations

import numpy as np

from loadtest.measure.board_receipts import ReceiptLog, Receipts


def lot(*rows: tuple[int, int, int, float]) -> Receipts:
    """Receipts of (receiver, version, epoch, time)."""
    receiver, version, epoch, time = zip(*rows, strict=True)
    return Receipts(np.array(receiver), np.array(version), np.array(epoch), np.array(time), np.array(time) - 0.25)


def test_receipts_are_taken_once_and_stay_counted() -> None:
    """`take` gives the rows in their order and empties the columns; a function got before still appends."""
    log = ReceiptLog()
    append = log.append
    for row in ((3, 7, 1.5, 1.0, 2.0), (1, 7, 1.25, 0.0, 2.5)):
        for column, value in zip(append, row, strict=True):
            column(value)
    assert [column.tolist() for column in log.take()] == [[3, 1], [7, 7], [1.5, 1.25], [1.0, 0.0], [2.0, 2.5]]
    assert [column.tolist() for column in log.take()] == [[]] * 5
    for column, value in zip(append, (2, 8, 2.0, 2.0, 2.0), strict=True):
        column(value)
    assert (len(log), [column.tolist() for column in log.take()]) == (3, [[2], [8], [2.0], [2.0], [2.0]])


def test_kept_receipts_are_joined_and_forgotten_by_lots() -> None:
    """A lot is there as long as its latest receipt is asked for, and gone when that is too old."""
    log = ReceiptLog()
    log.keep(lot((0, 1, 0, 1.0), (1, 1, 0, 3.0)))
    log.keep(lot((0, 2, 0, 5.0)))
    assert log.kept_since(3.0).time.tolist() == [1.0, 3.0, 5.0]
    assert log.kept_since(3.0).earliest.tolist() == [0.75, 2.75, 4.75]
    assert log.kept_since(3.1).version.tolist() == [2]
    log.forget(before=3.1)
    assert log.kept_since(0.0).receiver.tolist() == [0]
    log.forget(before=6.0)
    assert log.kept_since(0.0).time.tolist() == []
