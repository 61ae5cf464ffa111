"""The messages of the wire contract, and their text.

`decode` turns inbound text into one frozen, validated message or raises a `WrongFrame` that says
what was expected and what came. `encode` turns an outbound message into text without blanks. The
service and `/asyncapi.json` share these models. For speed, the load test writes and recognises
its few messages by hand; its tests check both against these models.

This module refuses three things that plain `json.loads` accepts or fails on: nesting that overflows
the stack, `NaN`, which is not JSON, and lone surrogates, which UTF-8 cannot encode.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, ClassVar, Final, Literal, TypeGuard

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, StrictInt, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import from_json, to_json

from service.core.errors import ErrorCode, WrongFrame
from service.core.username import clean_username as clean_username  # noqa: PLC0414 - others know it from here

DEFAULT_SESSION: Final = "DEMO123"
MAX_FRAME: Final = 4096  # bytes, inbound
MAX_POINTS: Final = 1_000_000
MAX_TOTAL: Final = 10**12

# The ids of users and sessions, and those of operations; all checks use these patterns.
ID_PATTERN: Final = r"^[A-Za-z0-9_.-]{1,64}$"
OP_ID_PATTERN: Final = r"^[A-Za-z0-9_-]{8,64}$"
SECRET_PATTERN: Final = r"^[A-Za-z0-9_-]{16,64}$"  # noqa: S105 - the shape of one
_ID = re.compile(ID_PATTERN)
_OP_ID = re.compile(OP_ID_PATTERN)

UserId = Annotated[str, Field(pattern=ID_PATTERN, examples=["alice"])]
SessionId = Annotated[str, Field(pattern=ID_PATTERN, examples=[DEFAULT_SESSION])]
OpId = Annotated[str, Field(pattern=OP_ID_PATTERN, examples=["0f3a9c1e"])]
Secret = Annotated[str, Field(pattern=SECRET_PATTERN, repr=False, examples=["tq3Yf0pQxv2k8HnB"])]
Username = Annotated[str, AfterValidator(clean_username), Field(examples=["Alice"])]
Points = Annotated[StrictInt, Field(ge=-MAX_POINTS, le=MAX_POINTS)]


class _Data(BaseModel):
    """The `data` of a message. `type` is a class attribute because it is not part of `data`."""

    model_config = ConfigDict(
        frozen=True, strict=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )
    type: ClassVar[str]


# Client → server


class JoinDemo(_Data):
    """The socket plays as this user."""

    type: ClassVar[str] = "join-demo"
    user_id: UserId
    session_id: SessionId = DEFAULT_SESSION
    username: Username = Field(default="", validate_default=False)
    secret: Secret = Field(default="", validate_default=False)

    @property
    def given_secret(self) -> str | None:
        """The secret in the message; None if there was none."""
        return self.secret or None

    @property
    def given_name(self) -> str | None:
        """The name in the message; None if there was none."""
        return self.username or None


class UpdateScore(_Data):
    """Add points to the player of this socket."""

    type: ClassVar[str] = "update-score"
    points: Points
    op_id: OpId = Field(default="", validate_default=False)

    @property
    def given_op_id(self) -> str | None:
        """The id in the message; None if there was none."""
        return self.op_id or None


class WatchDemo(_Data):
    """The socket only watches."""

    type: ClassVar[str] = "watch-demo"
    session_id: SessionId = DEFAULT_SESSION


class LeaveDemo(_Data):
    """The socket stops playing or watching."""

    type: ClassVar[str] = "leave-demo"


class Ping(_Data):
    """Answered by a pong that returns `t`."""

    type: ClassVar[str] = "ping"
    t: StrictInt | FiniteFloat | None = None


ClientMessage = JoinDemo | UpdateScore | WatchDemo | LeaveDemo | Ping
CLIENT_MESSAGES: Final[dict[str, type[ClientMessage]]] = {
    model.type: model for model in (JoinDemo, UpdateScore, WatchDemo, LeaveDemo, Ping)
}

# Server → client


class Entry(_Data):
    """One row of the board."""

    rank: int
    user_id: str
    username: str
    avatar: str
    color: str
    score: int
    is_connected: bool


class ScoreChange(_Data):
    """The last update that a board shows; `old_rank` is None for a newcomer."""

    user_id: str
    username: str
    points_earned: int
    new_score: int
    old_rank: int | None
    new_rank: int


class BoardOverwritten(_Data):
    """What a board shows after populate or reset."""

    model_config = ConfigDict(json_schema_extra={"description": "Populate or reset."})
    kind: Literal["demo_data_populated", "leaderboard_reset"] = Field(alias="type")
    message: str


class LeaderboardUpdate(_Data):
    """The whole visible board. The order of the keys is fixed: readers take the first ones unparsed."""

    type: ClassVar[str] = "leaderboard-update"
    version: int
    updates: int
    epoch: str
    sent_at: float
    oldest_at: float | None
    session_id: str
    leaderboard: tuple[Entry, ...]
    total_players: int
    total_participants: int
    last_update: ScoreChange | BoardOverwritten | None
    degraded: bool


class UserRankUpdate(_Data):
    """A player's own place; `rank` is None while unranked."""

    type: ClassVar[str] = "user-rank-update"
    user_id: str
    score: int
    rank: int | None
    total_players: int
    version: int
    epoch: str


class ScoreAck(UserRankUpdate):
    """The answer to an `update-score`."""

    op_id: str | None
    points: int
    durable: bool


class _Notice(_Data):
    user_id: str
    username: str
    avatar: str
    total_participants: int


class ParticipantJoined(_Notice):
    """A user's first connection to the session."""

    type: ClassVar[str] = "participant-joined"


class ParticipantLeft(_Notice):
    """The end of a user's last connection to the session."""

    type: ClassVar[str] = "participant-left"


class ParticipantsChanged(_Data):
    """Further arrivals and departures, summed up in one notice."""

    type: ClassVar[str] = "participants-changed"
    joined: int
    left: int
    total_participants: int


class SessionStage(_Data):
    """What the host did to the session: nobody new may join, the board is frozen, the show is over."""

    type: ClassVar[str] = "session-stage"
    session_id: str
    locked: bool
    frozen: bool
    podium: bool


class ErrorMessage(_Data):
    """A frame that had no effect, and why; `retry_after` in seconds."""

    type: ClassVar[str] = "error"
    code: ErrorCode
    message: str
    op_id: str | None = None
    retry_after: float | None = None


class Pong(_Data):
    """The answer to a ping; `server_time` in Unix milliseconds."""

    type: ClassVar[str] = "pong"
    t: int | float | None
    server_time: float


ServerMessage = (
    LeaderboardUpdate | UserRankUpdate | ParticipantJoined | ParticipantLeft | ParticipantsChanged | SessionStage
    | ErrorMessage | Pong
)  # fmt: skip
SERVER_MESSAGES: Final[tuple[type[ServerMessage], ...]] = (
    LeaderboardUpdate,
    UserRankUpdate,
    ScoreAck,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantsChanged,
    SessionStage,
    ErrorMessage,
    Pong,
)


def encode(message: ServerMessage | ClientMessage) -> bytes:
    """The message as UTF-8 JSON, `type` before `data`, no blanks."""
    # Errors and client messages leave out absent values; elsewhere the contract has null for them.
    optional = isinstance(message, ErrorMessage | JoinDemo | UpdateScore | Ping)
    data = message.__pydantic_serializer__.to_json(
        message, by_alias=True, exclude_none=optional, exclude_unset=optional
    )
    return b'{"type":"%s","data":%s}' % (message.type.encode(), data)


def decode(text: str, max_points: int = MAX_POINTS) -> ClientMessage:
    """The client message in `text`. Raises `WrongFrame` for anything else."""
    frame = _parse(text)
    if not isinstance(frame, dict):
        raise WrongFrame(ErrorCode.BAD_MESSAGE, f'expected an object {{"type":…,"data":{{…}}}}, got {_shown(frame)}')
    op_id = op_id_of(frame)
    kind = frame.get("type")
    if not isinstance(kind, str):
        came = _shown(kind) if "type" in frame else "none"
        raise WrongFrame(ErrorCode.BAD_MESSAGE, f"expected a string as type, got {came}", op_id=op_id)
    model = CLIENT_MESSAGES.get(kind)
    if model is None:
        known = ", ".join(CLIENT_MESSAGES)
        raise WrongFrame(ErrorCode.UNKNOWN_TYPE, f"expected one of {known}, got {_shown(kind)}", op_id=op_id)
    data = frame.get("data", {})
    if not isinstance(data, dict):
        raise WrongFrame(ErrorCode.BAD_MESSAGE, f"data: expected an object, got {_shown(data)}", op_id=op_id)
    try:
        message: ClientMessage = model.model_validate(data, by_name=False, by_alias=True)
    except ValidationError as error:
        raise WrongFrame(ErrorCode.BAD_MESSAGE, _explain(error), op_id=op_id) from None
    if isinstance(message, UpdateScore) and abs(message.points) > max_points:
        raise WrongFrame(
            ErrorCode.BAD_MESSAGE,
            f"data.points: expected an integer from {-max_points} to {max_points}, got {message.points}",
            op_id=op_id,
        )
    return message


def op_id_of(frame: object) -> str | None:
    """The opId in a parsed or raw frame, so that the refusal can name it; None if there is no valid one."""
    if isinstance(frame, str):
        try:
            frame = _parse(frame)
        except WrongFrame:
            return None
    data = frame.get("data") if isinstance(frame, dict) else None
    op_id = data.get("opId") if isinstance(data, dict) else None
    return op_id if is_op_id(op_id) else None


def is_id(value: object) -> TypeGuard[str]:
    """Whether it is the id of a user or a session."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def is_op_id(value: object) -> TypeGuard[str]:
    """Whether it is the id of an operation."""
    return isinstance(value, str) and _OP_ID.fullmatch(value) is not None


def _parse(text: str) -> Any:
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        problem = str(error)
    try:
        from_json(text, allow_inf_nan=True)
    except ValueError:
        raise WrongFrame(ErrorCode.BAD_JSON, f"expected JSON, got text with an error: {problem}") from None
    raise WrongFrame(ErrorCode.BAD_MESSAGE, "expected finite JSON numbers, got NaN or Infinity")


def _shown(value: object) -> str:
    """The value as JSON, truncated to fit into an error message."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    text = to_json(value).decode()
    return text if len(text) <= 60 else text[:60] + "…"


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(["data", *(str(part) for part in first["loc"] if part not in {"int", "float"})])
    if first["type"] == "missing":
        return f"{where}: expected a value, got none"
    expected = first["msg"].removeprefix("Value error, ").replace("Input should be", "expected", 1)
    expected = expected.replace("String should match", "expected a string that matches", 1)
    if "secret" in first["loc"]:
        return f"{where}: {expected}, got something else"  # even a wrong one may be a slip in a right one
    came = "" if ", got " in expected else f", got {_shown(first['input'])}"
    return f"{where}: {expected}{came}"


def admin_token(text: str) -> str:
    """The token of `Authorization: Bearer …`, without the line end that files and shells add.

    Raises ValueError if it cannot be sent; the text does not show it.
    """
    token = text.strip()
    if not token:
        raise ValueError("expected a token, got none but blanks")
    if not token.isprintable():  # half of a character that is not UTF-8, too
        raise ValueError("expected a token of one line of printable UTF-8 characters")
    return token
