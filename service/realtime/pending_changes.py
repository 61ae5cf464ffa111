"""What happened in a session since its last board, and the messages that say so."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.core.host_decisions import FrozenBoard
from service.core.protocol import (
    BoardOverwritten,
    LeaderboardUpdate,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantsChanged,
    ScoreChange,
    ServerMessage,
    SessionStage,
)
from service.core.session import Arrived, Event, Left, Overwritten, Renamed, Restored, Scored, Session, Staged
from service.core.user_appearance import appearance_of

MAX_NOTICES = 10  # per session and tick, the rest of a crowd is one message


@dataclass(slots=True)
class PendingChanges:
    """The events since the last board, folded; `board` is whether any of them shows on the next one."""

    board: bool = False
    updates: int = 0
    oldest_at: float | None = None  # Unix seconds
    scored: Scored | None = None
    overwritten: Overwritten | None = None
    notices: list[Arrived | Left] = field(default_factory=list)
    stage: bool = False  # whether the host did something to the session

    def fold(self, event: Event, session: Session, top: int) -> None:
        """Take one event in; the board has `top` rows."""
        match event:
            case Scored():
                self.board = True
                self.updates += 1
                self.scored = event
                if self.oldest_at is None:
                    self.oldest_at = event.received_at
            case Overwritten():
                self.board = True
                self.overwritten = event
            case Restored():
                self.board = True
                self.updates += event.updates
            case Arrived() | Left():
                self.notices.append(event)
                self.board = self.board or session.is_listed(event.user_id, top)
            case Renamed():
                self.board = self.board or session.is_listed(event.user_id, top)
            case Staged():
                self.stage = True

    def held_back(self) -> PendingChanges:
        """What stays for the next board, when all else has been sent."""
        return PendingChanges(self.board, self.updates, self.oldest_at, self.scored, self.overwritten)

    def leaderboard_update(self, session: Session, *, top: int, sent_at: float, degraded: bool) -> LeaderboardUpdate:
        """The board's first `top` rows as they are now, sent at `sent_at` (Unix seconds)."""
        return LeaderboardUpdate(
            version=session.version,
            updates=self.updates,
            epoch=session.epoch,
            sent_at=_milliseconds(sent_at),
            oldest_at=None if self.oldest_at is None else _milliseconds(self.oldest_at),
            session_id=session.id,
            leaderboard=session.entries(top),
            total_players=len(session.board),
            total_participants=session.participants,
            last_update=self._last_update(),
            degraded=degraded,
        )

    def participant_notices(self) -> list[ServerMessage]:
        """A notice for each of the first who came or left, and one for the rest of a crowd."""
        notices: list[ServerMessage] = []
        for event in self.notices[:MAX_NOTICES]:
            kind = ParticipantJoined if isinstance(event, Arrived) else ParticipantLeft
            notices.append(
                kind(
                    user_id=event.user_id,
                    username=event.username,
                    avatar=appearance_of(event.user_id).avatar,
                    total_participants=event.total_participants,
                )
            )
        crowd = self.notices[MAX_NOTICES:]
        if crowd:
            joined = sum(isinstance(event, Arrived) for event in crowd)
            notices.append(
                ParticipantsChanged(
                    joined=joined, left=len(crowd) - joined, total_participants=crowd[-1].total_participants
                )
            )
        return notices

    def _last_update(self) -> ScoreChange | BoardOverwritten | None:
        if self.overwritten is not None:
            return BoardOverwritten(kind=self.overwritten.kind, message=self.overwritten.message)
        if self.scored is not None:
            return ScoreChange(
                user_id=self.scored.user_id,
                username=self.scored.username,
                points_earned=self.scored.points,
                new_score=self.scored.new_score,
                old_rank=self.scored.old_rank,
                new_rank=self.scored.new_rank,
            )
        return None


def session_stage(session: Session) -> SessionStage:
    """How far the host has brought the show."""
    host = session.host
    return SessionStage(
        session_id=session.id, locked=host.locked is not None, frozen=host.frozen is not None, podium=host.podium
    )


def frozen_board(session: Session, frozen: FrozenBoard, *, sent_at: float, degraded: bool) -> LeaderboardUpdate:
    """The board that everybody is shown while it is frozen, without players and names that the host took off since."""
    return LeaderboardUpdate(
        version=frozen.version,
        updates=0,
        epoch=frozen.epoch,
        sent_at=_milliseconds(sent_at),
        oldest_at=None,
        session_id=session.id,
        leaderboard=tuple(
            entry.model_copy(update={"username": session.host.names.get(entry.user_id, entry.username)})
            for entry in frozen.leaderboard
            if entry.user_id not in session.host.unshown
        ),
        total_players=frozen.total_players,
        total_participants=frozen.total_participants,
        last_update=None,
        degraded=degraded,
    )


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
