"""Every refusal, grouped by cause, and every code that a socket is closed with.

Failure                      answered with `error`; the socket stays open
├── WrongFrame               the client sent something that is not a message; counts as a strike
│   ├── bad-json             not JSON
│   ├── bad-message          JSON of the wrong shape or value, or a binary frame
│   ├── unknown-type         an unknown `type`
│   └── not-joined           a score from a socket that does not play
├── RateLimited              a valid frame, too early
└── Refused                  a valid frame that the state does not allow
    ├── taken                the user is played by somebody else, where players are locked
    ├── removed              the host removed the player
    ├── session-full         the session has its maximum of players, or the host has locked it
    └── limit                the total would leave ±10¹², or there are too many sessions, or too many new ones
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class ErrorCode(StrEnum):
    """The `code` of an `error` message."""

    BAD_JSON = "bad-json"
    BAD_MESSAGE = "bad-message"
    UNKNOWN_TYPE = "unknown-type"
    NOT_JOINED = "not-joined"
    RATE_LIMITED = "rate-limited"
    TAKEN = "taken"
    REMOVED = "removed"
    SESSION_FULL = "session-full"
    LIMIT = "limit"


class CloseCode(IntEnum):
    """Why a socket is closed. 10xx as in RFC 6455; 44xx: caused by the client; 45xx: the server's state."""

    NORMAL = 1000
    GOING_AWAY = 1001
    NOT_UTF8 = 1007
    TOO_LARGE = 1009
    RESTARTING = 1012
    WRONG_FRAMES = 4400
    FORBIDDEN = 4403
    TOO_SLOW = 4408
    TOO_FAST = 4429
    FULL = 4503


class Failure(Exception):
    """A refusal: `message` says what was expected and what came, `op_id` names the update.

    `retry_after` is the number of seconds after which the same frame may be accepted, where waiting helps.
    """

    def __init__(
        self, code: ErrorCode, message: str, *, op_id: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.op_id = op_id
        self.retry_after = retry_after


class WrongFrame(Failure):
    """The frame is not a message of the contract. Too many of these in a row end the connection."""


class RateLimited(Failure):
    """The frame came too early; it may be sent again after `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float, op_id: str | None = None) -> None:
        super().__init__(ErrorCode.RATE_LIMITED, message, op_id=op_id, retry_after=retry_after)


class Refused(Failure):
    """The frame is valid, but the state of the session does not allow it."""
