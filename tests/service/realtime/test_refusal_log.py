"""Why frames were refused, as an operator reads it."""

from __future__ import annotations

from service.core.errors import ErrorCode, Refused
from service.core.line_budget import EVERY
from service.realtime.refusal_log import LONGEST, RefusalLog


def refuse(log: RefusalLog, now: float, *, code: ErrorCode = ErrorCode.LIMIT, text: str = "too much") -> None:
    log.note(Refused(code, text), "DEMO123", "alice", now)


def test_a_refusal_says_whose_and_why(caplog):
    """The line names the user, the session, the code and the reason."""
    caplog.set_level("INFO", "leaderboard.connection")
    refuse(RefusalLog(), 0.0)
    assert caplog.messages == ["refused a frame of user 'alice' in 'DEMO123': limit: 'too much'"]


def test_a_flood_of_one_code_is_one_line_and_a_count(caplog):
    """Refusals of a code that was just logged are counted; another code is not held back by it."""
    caplog.set_level("INFO", "leaderboard.connection")
    log = RefusalLog()
    for number in range(1000):
        refuse(log, number / 1000)
    refuse(log, 0.5, code=ErrorCode.NOT_JOINED)
    refuse(log, EVERY)
    assert len(caplog.messages) == 3
    assert "not-joined" in caplog.messages[1]
    assert caplog.messages[2].endswith("(and 999 more since the last such line)")


def test_what_a_client_sent_is_escaped_and_shortened(caplog):
    """A line feed does not begin a line of the log, and a long text does not fill it."""
    caplog.set_level("INFO", "leaderboard.connection")
    refuse(RefusalLog(), 0.0, text="got \n\u202e" + "x" * 4000)
    (line,) = caplog.messages
    assert "\n" not in line
    assert "\u202e" not in line
    assert len(line) < LONGEST + 100
