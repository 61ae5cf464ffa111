"""The log of receipts."""

from __future__ import annotations

import numpy as np

from loadtest.measure.board_receipts import ROW, ReceiptLog
from loadtest.measure.receipt_lot import Receipts


def lot(*rows: tuple[int, int, int, float]) -> Receipts:
    """Receipts of (receiver, version, epoch, time)."""
    receiver, version, epoch, time = zip(*rows, strict=True)
    return Receipts(np.array(receiver), np.array(version), np.array(epoch), np.array(time), np.array(time) - 0.25)


def test_receipts_are_taken_once_and_stay_counted() -> None:
    """`take` gives the rows in their order and empties the log; a function got before still appends."""
    log = ReceiptLog()
    append = log.append
    for row in ((3, 7, 1.5, 1.0, 2.0), (1, 7, 1.25, 0.0, 2.5)):
        append(ROW.pack(*row))
    assert log.waiting == 2
    assert [column.tolist() for column in log.take()] == [[3, 1], [7, 7], [1.5, 1.25], [1.0, 0.0], [2.0, 2.5]]
    assert [column.tolist() for column in log.take()] == [[]] * 5
    append(ROW.pack(2, 8, 2.0, 2.0, 2.0))
    assert (len(log), [column.tolist() for column in log.take()]) == (3, [[2], [8], [2.0], [2.0], [2.0]])


def kept(log: ReceiptLog, since: float) -> list[tuple[int, list[float]]]:
    return [(lot.number, lot.receipts.time.tolist()) for lot in log.kept_since(since)]


def test_receipts_are_kept_and_forgotten_by_lots() -> None:
    """A lot is there as long as its latest receipt is asked for, and gone when that is too old."""
    log = ReceiptLog()
    log.keep(lot((0, 1, 0, 1.0), (1, 1, 0, 3.0)))
    log.keep(lot((0, 2, 0, 5.0)))
    assert kept(log, 3.0) == [(0, [1.0, 3.0]), (1, [5.0])]
    assert kept(log, 3.1) == [(1, [5.0])]
    log.forget(before=3.1)
    assert kept(log, 0.0) == [(1, [5.0])]
    log.keep(lot((0, 3, 0, 5.5)))
    assert kept(log, 5.1) == [(2, [5.5])]
    log.forget(before=6.0)
    assert kept(log, 0.0) == []
