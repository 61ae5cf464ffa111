"""Who is connected, exchanged with the other workers over the stream, and the beat that shows a worker is alive."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from redis.exceptions import ConnectionError as RedisConnectionError

from service.core.session import Event
from service.core.stream_messages import Message
from service.core.worker_presence import Came, Presence, Went
from service.stores.redis_sessions import SharedSessions
from service.stores.redis_unconfirmed import Show

DEAF_SECONDS: Final = 3.0  # without hearing the own beat


class PresenceExchange:
    """Keeps `presence` in step with what the stream brings, and `show`s who came and went elsewhere."""

    def __init__(self, presence: Presence, sessions: SharedSessions, show: Show) -> None:
        self._presence = presence
        self._sessions = sessions
        self._show = show
        self._replies: list[Message] = []
        self._beat_heard_at = time.monotonic()

    def begin(self) -> None:
        """After a connection was read from: ask all workers for their users, and publish this one's."""
        self._beat_heard_at = time.monotonic()
        self._presence.excuse(self._beat_heard_at)
        self._replies = [self._presence.question("*"), self._presence.roster()]

    def hear_own_beat(self) -> None:
        """The stream brings what is published."""
        self._beat_heard_at = time.monotonic()

    def hear(self, message: Message) -> None:
        """Follow another worker's message. Raises ValueError for a message that is not about presence."""
        if message[0] in {"changes", "roster"}:
            # A session that begins takes in the users that presence knows, so it has to begin before they are added.
            for session_id in {place[0] for *place, username in message[3] if username is not None and place[1]}:
                self._sessions.find(session_id)
        changes, reply = self._presence.hear(message, time.monotonic())
        self._show_changes(changes)
        if reply is not None:
            self._replies.append(reply)
            self._sessions.wake.set()

    def take_messages(self) -> list[Message]:
        """What is to be published: replies, and the changes since the last time."""
        messages, self._replies = self._replies, []
        if self._presence.changed:
            messages.append(self._presence.changes())
        return messages

    def beat(self) -> Message:
        """The next beat. Raises a link error when the stream does not bring the earlier ones."""
        now = time.monotonic()
        if now - self._beat_heard_at > DEAF_SECONDS:
            raise RedisConnectionError(f"expected this process' own beat in the stream within {DEAF_SECONDS:g} s")
        self._show_changes(self._presence.expire(now))
        return self._presence.beat()

    def _show_changes(self, changes: Iterable[Came | Went]) -> None:
        by_session: dict[str, list[Event]] = {}
        for change in changes:
            by_session.setdefault(change.session_id, []).extend(self._apply(change))
        for session_id, events in by_session.items():
            shared = self._sessions.get(session_id)
            if shared is not None:
                self._show(shared.session, events)

    def _apply(self, change: Came | Went) -> list[Event]:
        shared = self._sessions.get(change.session_id)
        if shared is None:
            return []
        if isinstance(change, Went):
            return shared.session.leave(change.user_id, time.time())
        if change.again:
            return shared.session.rename(change.user_id, change.username)
        return shared.session.admit(change.user_id, change.username)
