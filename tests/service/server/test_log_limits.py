"""No client fills the log."""

from __future__ import annotations

import logging

from service.server.log_limits import EVERY, MOST_KINDS, LineLimit, limited_lines


class Clock:
    """A clock moved on by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def record(message: str, *args: object, name: str = "uvicorn.error", **extra: object) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.WARNING, "", 0, message, args, None)
    made.__dict__.update(extra)
    return made


def test_a_kind_is_one_line_a_second() -> None:
    """The next one says how many were left out."""
    clock = Clock()
    limit = LineLimit(clock)
    passed = [limit.filter(record("Invalid HTTP request received.")) for _ in range(1000)]
    assert passed == [True] + [False] * 999
    clock.now = EVERY
    last = record("Invalid HTTP request received.")
    assert limit.filter(last)
    assert last.getMessage() == "Invalid HTTP request received. (and 999 more since the last such line)"
    assert last.suppressed == 999


def test_what_a_client_chooses_makes_no_kind() -> None:
    """Neither addresses of objects nor numbers nor arguments do."""
    limit = LineLimit(Clock())
    assert limit.filter(record("Exception in callback <X 0x7f00>(1)\nprotocol: <X 0x7f00>", name="asyncio"))
    assert not limit.filter(record("Exception in callback <X 0x7f99>(2)\nprotocol: <X 0x7f99>", name="asyncio"))
    assert limit.filter(record("refused %s", "a", name="leaderboard.http", event="refused-request", code=400))
    assert not limit.filter(record("declined %s", "b", name="leaderboard.http", event="refused-request", code=400))


def test_kinds_do_not_hold_each_other_back() -> None:
    """A code of its own is a kind of its own, and so is a status in uvicorn's log of requests."""
    limit = LineLimit(Clock())
    for code in (400, 431):
        assert limit.filter(record("refused", name="leaderboard.http", event="refused-request", code=code))
        assert limit.filter(record('%s - "%s"', "1.2.3.4", code, name="uvicorn.access"))
    assert not limit.filter(record('%s - "%s"', "5.6.7.8", 400, name="uvicorn.access"))


def test_kinds_are_bounded() -> None:
    """Nobody fills the memory instead."""
    limit = LineLimit(Clock())
    passed = [limit.filter(record("x", event=f"kind-{number}")) for number in range(MOST_KINDS * 2)]
    assert sum(passed) == MOST_KINDS + 1


def test_lines_of_a_start_are_all_there() -> None:
    """Two misspelt settings are two lines."""
    limit = LineLimit(Clock())
    assert all(limit.filter(record("%s is no setting", name, name="leaderboard")) for name in ("A", "B"))


def test_limits_end_with_the_app(caplog) -> None:
    """The loggers belong to the process, which may go on."""
    logger = logging.getLogger("leaderboard.connection")
    with limited_lines():
        logger.warning("once")
        logger.warning("once")
    logger.warning("once")
    assert caplog.messages == ["once"] * 2
