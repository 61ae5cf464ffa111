"""The messages: golden texts out, one error for each wrong text in."""

from __future__ import annotations

import pytest
from hostile_frames import BAD_JSON, BAD_MESSAGES, update

from service.core.errors import ErrorCode, WrongFrame
from service.core.protocol import (
    BoardOverwritten,
    Entry,
    ErrorMessage,
    JoinDemo,
    LeaderboardUpdate,
    ParticipantJoined,
    ParticipantsChanged,
    Ping,
    Pong,
    ScoreAck,
    ScoreChange,
    UpdateScore,
    UserRankUpdate,
    decode,
    encode,
)

ROW = Entry(rank=1, user_id="bob", username="Bøb 🐼", avatar="🐼", color="#0072b2", score=-5, is_connected=True)

GOLDEN = {
    "board": (
        LeaderboardUpdate(
            version=7, updates=2, epoch="e.1", sent_at=1000.5, oldest_at=999.25, session_id="S", leaderboard=(ROW,),
            total_players=1, total_participants=3, degraded=False,
            last_update=ScoreChange(
                user_id="bob", username="Bøb 🐼", points_earned=-5, new_score=-5, old_rank=None, new_rank=1
            ),
        ),
        '{"type":"leaderboard-update","data":{"version":7,"updates":2,"epoch":"e.1","sentAt":1000.5,"oldestAt":999.25,'
        '"sessionId":"S","leaderboard":[{"rank":1,"userId":"bob","username":"Bøb 🐼","avatar":"🐼","color":"#0072b2",'
        '"score":-5,"isConnected":true}],"totalPlayers":1,"totalParticipants":3,"lastUpdate":{"userId":"bob",'
        '"username":"Bøb 🐼","pointsEarned":-5,"newScore":-5,"oldRank":null,"newRank":1},"degraded":false}}',
    ),
    "reset board": (
        LeaderboardUpdate(
            version=8, updates=0, epoch="e.1", sent_at=1.0, oldest_at=None, session_id="S", leaderboard=(),
            total_players=0, total_participants=0, degraded=True,
            last_update=BoardOverwritten(kind="leaderboard_reset", message="Leaderboard reset"),
        ),
        '{"type":"leaderboard-update","data":{"version":8,"updates":0,"epoch":"e.1","sentAt":1.0,"oldestAt":null,'
        '"sessionId":"S","leaderboard":[],"totalPlayers":0,"totalParticipants":0,'
        '"lastUpdate":{"type":"leaderboard_reset","message":"Leaderboard reset"},"degraded":true}}',
    ),
    "rank": (
        UserRankUpdate(user_id="a", score=0, rank=None, total_players=0, version=0, epoch="e"),
        '{"type":"user-rank-update","data":{"userId":"a","score":0,"rank":null,"totalPlayers":0,"version":0,"epoch":"e"}}',
    ),
    "ack": (
        ScoreAck(
            user_id="a", score=5, rank=1, total_players=1, version=1, epoch="e", op_id=None, points=5, durable=True
        ),
        '{"type":"user-rank-update","data":{"userId":"a","score":5,"rank":1,"totalPlayers":1,"version":1,"epoch":"e",'
        '"opId":null,"points":5,"durable":true}}',
    ),
    "joined": (
        ParticipantJoined(user_id="a", username="A", avatar="🦊", total_participants=1),
        '{"type":"participant-joined","data":{"userId":"a","username":"A","avatar":"🦊","totalParticipants":1}}',
    ),
    "crowd": (
        ParticipantsChanged(joined=3, left=1, total_participants=9),
        '{"type":"participants-changed","data":{"joined":3,"left":1,"totalParticipants":9}}',
    ),
    "error": (
        ErrorMessage(code=ErrorCode.RATE_LIMITED, message="m", op_id="12345678", retry_after=0.05),
        '{"type":"error","data":{"code":"rate-limited","message":"m","opId":"12345678","retryAfter":0.05}}',
    ),
    "short error": (
        ErrorMessage(code=ErrorCode.LIMIT, message="m"),
        '{"type":"error","data":{"code":"limit","message":"m"}}',
    ),
    "pong": (Pong(t=None, server_time=2.5), '{"type":"pong","data":{"t":null,"serverTime":2.5}}'),
    "ping": (Ping(t=3), '{"type":"ping","data":{"t":3}}'),
    "join": (
        JoinDemo(user_id="a", session_id="S"),
        '{"type":"join-demo","data":{"userId":"a","sessionId":"S"}}',
    ),
    "score": (UpdateScore(points=5), '{"type":"update-score","data":{"points":5}}'),
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDEN)
def test_a_message_has_exactly_its_golden_text(name: str):
    """Keys keep their names and order, and there are no blanks."""
    message, text = GOLDEN[name]
    assert encode(message).decode() == text


def test_a_join_names_session_and_user():
    """Defaults are filled in, unknown fields are ignored."""
    message = decode('{"type":"join-demo","data":{"userId":"a.b-c_D","username":" Zoe\u0301 ","x":[1]},"y":0}')
    assert message == JoinDemo(user_id="a.b-c_D", session_id="DEMO123", username="Zo\u00e9")


@pytest.mark.parametrize("frame", ['{"type":"ping"}', '{"type":"ping","data":{}}', '{"type":"ping","data":{"t":1.5}}'])
def test_a_ping_needs_no_data(frame: str):
    """`t` is optional, and so is the `data` that would hold it."""
    assert isinstance(decode(frame), Ping)


@pytest.mark.parametrize("name", BAD_MESSAGES)
def test_json_of_the_wrong_shape_or_value_is_a_bad_message(name: str):
    """The error says what was expected and what came."""
    with pytest.raises(WrongFrame) as caught:
        decode(BAD_MESSAGES[name])
    assert caught.value.code is ErrorCode.BAD_MESSAGE
    assert "expected" in caught.value.message
    assert "got" in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("name", BAD_JSON)
def test_what_is_not_json_is_bad_json(name: str):
    """Syntax, nesting and lone surrogates are refused before any model sees them."""
    with pytest.raises(WrongFrame) as caught:
        decode(BAD_JSON[name])
    assert caught.value.code is ErrorCode.BAD_JSON


def test_an_unknown_type_is_told_the_known_ones():
    """`unknown-type` is for strings only."""
    with pytest.raises(WrongFrame, match="join-demo") as caught:
        decode('{"type":"subscribe","data":{}}')
    assert caught.value.code is ErrorCode.UNKNOWN_TYPE


def test_a_refusal_names_the_op_it_is_about():
    """The sender of several updates can tell which one was wrong."""
    with pytest.raises(WrongFrame) as caught:
        decode('{"type":"update-score","data":{"points":1.5,"opId":"12345678"}}')
    assert caught.value.op_id == "12345678"


def test_a_setting_lowers_the_most_points():
    """The limit is on the absolute value."""
    assert decode(update("-10"), max_points=10) == UpdateScore(points=-10)
    with pytest.raises(WrongFrame, match="from -10 to 10, got -11"):
        decode(update("-11"), max_points=10)
