"""Starts the service with a fault: of its updates each `EVERY`-th is answered and then lost.

`python losing.py EVERY python -m service …`: stands before the command that `target.processes.Service` gives.
"""

from __future__ import annotations

import sys
from typing import Any

from service import __main__ as service
from service.core.session import Session


def lose(every: int) -> None:
    """Take the points of each `every`-th update off again, behind everybody's back; the first one in the middle."""
    honest = Session.score
    accepted = 0

    def score(self: Session, user_id: str, points: int, op_id: str | None, now: float) -> Any:
        nonlocal accepted
        answer, events = honest(self, user_id, points, op_id, now)
        accepted += bool(events)
        if events and accepted % every == every // 2:
            self.board.place(user_id, answer.score - points)
        return answer, events

    Session.score = score


if __name__ == "__main__":
    lose(int(sys.argv[1]))
    sys.exit(service.main(sys.argv[5:]))
