"""The notebook's knowledge of the session, without a clock and without a socket."""

from __future__ import annotations

from cockpit.live.live_state import BOARDS_REMEMBERED, BoardRow, BoardView, LiveState, Sightings


def entry(user: str, score: int, rank: int = 1) -> BoardRow:
    return BoardRow(rank, user, user.title(), "🦊", "#d55e00", score, connected=True)


def board(version: int, *, epoch: str = "e", updates: int = 0, oldest_at: float | None = None) -> BoardView:
    return BoardView(epoch, version, updates, oldest_at, (entry("alice", version),), 1, 1)


def test_reads_a_frame_of_the_contract() -> None:
    """A leaderboard-update becomes a board; its times become seconds."""
    read = BoardView.from_wire(
        {
            "version": 7, "updates": 2, "epoch": "e", "sentAt": 1500.0, "oldestAt": 1250.0, "sessionId": "DEMO123",
            "leaderboard": [
                {"rank": 1, "userId": "bob", "username": "Bob", "avatar": "🐼", "color": "#0072b2", "score": 5,
                 "isConnected": True},
            ],
            "totalPlayers": 1, "totalParticipants": 3, "lastUpdate": None, "degraded": False, "unknown": 1,
        }
    )  # fmt: skip
    assert (read.version, read.updates, read.oldest_at, read.participants) == (7, 2, 1.25, 3)
    assert read.entry("bob") == BoardRow(1, "bob", "Bob", "🐼", "#0072b2", 5, connected=True)
    assert read.entry("alice") is None


def test_an_older_frame_is_not_shown() -> None:
    """Of one epoch a lower version is refused, an equal one and any of a new epoch are taken."""
    state = LiveState()
    assert state.take_board(board(5), at=10.0)
    assert not state.take_board(board(4), at=10.1)
    assert state.board.version == 5
    assert state.take_board(board(5), at=10.2)
    assert state.take_board(board(1, epoch="f"), at=10.3)
    assert state.board.epoch == "f"


def test_counts_updates_by_full_second() -> None:
    """The per-second rows end with the last full second and are 0 where nothing came."""
    state = LiveState()
    for version, at in enumerate((100.1, 100.9, 102.5, 103.2), start=1):
        state.take_board(board(version, updates=version), at)
    view = state.view(now=103.7, window=4)
    assert view.updates == (0, 3, 0, 3)
    assert view.boards == (0, 2, 0, 1)
    assert view.seconds_ago == (-4, -3, -2, -1)
    assert view.updates_total == 10
    assert view.per_second(view.updates, over=2) == 1.5


def test_latency_is_from_the_oldest_update_to_the_arrival() -> None:
    """Typical is the median of a second's frames, worst their maximum, in ms; a silent second has none."""
    state = LiveState()
    for version, late in enumerate((0.010, 0.020, 0.090), start=1):
        state.take_board(board(version, oldest_at=50.0), at=50.0 + late)
    view = state.view(now=52.0, window=2)
    assert [round(value or 0) for value in view.typical] == [20, 0]
    assert [round(value or 0) for value in view.worst] == [90, 0]
    assert view.typical[1] is None
    assert round(view.latency or 0) == 20


def test_a_clock_that_steps_back_loses_nothing() -> None:
    """A frame stamped before the running second counts into it."""
    state = LiveState()
    state.take_board(board(1, updates=1), at=20.5)
    state.take_board(board(2, updates=1), at=18.5)
    assert state.view(now=21.0, window=1).updates == (2,)


def test_an_hour_takes_no_more_memory_than_ten_minutes() -> None:
    """Every buffer is bounded, whatever comes."""
    state, sightings = LiveState(), Sightings()
    for version in range(3600):
        state.take_board(board(version, updates=1, oldest_at=float(version)), at=version + 0.5)
        state.take_own(0.001, at=version + 0.5)
        state.take_notice("Alice joined")
        sightings.board("e", version, float(version))
        sightings.answered("other", version, float(version))
    assert len(state._seconds) == 600
    assert len(state._own) == 200
    assert len(state._notices) == 8
    assert len(sightings._boards) == len(sightings._waiting) == BOARDS_REMEMBERED


def test_a_score_is_seen_with_the_first_board_that_includes_it() -> None:
    """The board may come after the answer or before it; an older board or epoch shows nothing."""
    later = Sightings()
    assert later.answered("e", 3, sent_at=1.0) == []
    assert later.board("e", 2, at=1.1) == []
    assert later.board("f", 9, at=1.2) == []
    assert later.board("e", 4, at=1.5) == [0.5]
    assert later.board("e", 5, at=1.6) == []
    earlier = Sightings()
    earlier.board("e", 3, at=0.5)
    earlier.board("e", 3, at=2.25)
    assert earlier.answered("e", 3, sent_at=2.0) == [0.25]
