"""What the swarm recognises of the service's messages."""

from __future__ import annotations

import pytest

from loadtest.measure.board_spread import BoardHead
from loadtest.measure.pair_ledger import Ledger
from loadtest.swarm.inbox import BOARD, ERROR, RANK, TYPE_AT, Inbox, board_head
from service.core.errors import ErrorCode
from service.core.protocol import (
    SERVER_MESSAGES,
    ErrorMessage,
    LeaderboardUpdate,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantsChanged,
    Pong,
    ScoreAck,
    ServerMessage,
    SessionStage,
    UserRankUpdate,
    encode,
)  # fmt: skip

NOTICE = {"user_id": "alice", "username": "Alice", "avatar": "A", "total_participants": 1}
RANK_OF = {"user_id": "alice", "score": 5, "rank": 1, "total_players": 1, "version": 7, "epoch": "e1"}


def board(version: int = 7, oldest_at: float | None = None) -> LeaderboardUpdate:
    return LeaderboardUpdate(
        version=version, updates=2, epoch="e1", sent_at=1_700_000_000_123.5, oldest_at=oldest_at, session_id="S",
        leaderboard=(), total_players=0, total_participants=0, last_update=None, degraded=False,
    )  # fmt: skip


MESSAGES: dict[ServerMessage, int | None] = {
    board(): BOARD,
    UserRankUpdate(**RANK_OF): RANK,
    ScoreAck(**RANK_OF, op_id="0f3a9c1e", points=5, durable=True): RANK,
    ErrorMessage(code=ErrorCode.RATE_LIMITED, message="slow down"): ERROR,
    ParticipantJoined(**NOTICE): None,
    ParticipantLeft(**NOTICE): None,
    ParticipantsChanged(joined=3, left=0, total_participants=4): None,
    SessionStage(session_id="S", locked=False, frozen=True, podium=False): None,
    Pong(t=1, server_time=2.0): None,
}


@pytest.mark.parametrize(("message", "kind"), MESSAGES.items(), ids=lambda one: type(one).__name__)
def test_one_letter_tells_the_messages_that_are_read(message: ServerMessage, kind: int | None) -> None:
    """The letter at `TYPE_AT` of boards, ranks and errors is theirs alone; every other message has another one."""
    letter = encode(message)[TYPE_AT]
    assert letter == kind if kind is not None else letter not in {BOARD, RANK, ERROR}


def test_every_message_of_the_protocol_is_among_them() -> None:
    """A new message of the service has to be decided about here."""
    assert {type(message) for message in MESSAGES} == set(SERVER_MESSAGES)


@pytest.mark.parametrize("oldest_at", [None, 1_700_000_000_100.25])
def test_the_head_of_a_board_is_read_unparsed(oldest_at: float | None) -> None:
    """What the service encodes and what another writer of the same JSON encodes give the same head."""
    head = BoardHead(7, 2, "e1", 1_700_000_000_123.5, oldest_at)
    text = encode(board(oldest_at=oldest_at))
    spaced = text.replace(b'":', b'" : ', 1)
    assert board_head(bytearray(text), 0, len(text)) == head
    assert board_head(bytearray(b"##" + spaced), 2, len(spaced) + 2) == head


def test_boards_are_numbered_by_their_text() -> None:
    """The same board has one number however often it comes, also after many others; another one has its own."""
    inbox = Inbox(Ledger())
    texts = [bytearray(encode(board(version))) for version in range(1500)]
    numbers = [inbox.see(text, 0, len(text)) for text in texts]
    assert numbers == list(range(1500))
    assert [inbox.see(text, 0, len(text)) for text in texts[-1024:]] == numbers[-1024:]
    assert texts[-1].startswith(inbox.head)
