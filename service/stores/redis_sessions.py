"""The sessions that this worker shares with others, and which of them are to be read or ended in Redis."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import KeysView

from service.core.pn_counter import Stamp
from service.core.session import Session, SessionRules
from service.core.shared_session import SharedSession
from service.core.worker_presence import Presence


class SharedSessions:
    """Sessions by id. `local` gets the sessions that begin here; `presence` knows the users at other workers."""

    def __init__(self, local: dict[str, Session], *, rules: SessionRules, worker: str, presence: Presence) -> None:
        self.worker = worker
        self.wake = asyncio.Event()  # something is to be read or sent
        self.unread: set[str] = set()  # to be read before anything else is sent
        self.ended: list[tuple[str, Stamp]] = []  # ended here, and to be ended in Redis
        self.reading: set[str] = set()  # asked for, and not adopted yet
        self._local = local
        self._rules = rules
        self._presence = presence
        self._shared: dict[str, SharedSession] = {}

    def __getitem__(self, session_id: str) -> SharedSession:
        return self._shared[session_id]

    def get(self, session_id: str) -> SharedSession | None:
        """The session, or None where it has not begun in this process."""
        return self._shared.get(session_id)

    @property
    def ids(self) -> KeysView[str]:
        """The ids of all sessions that have begun in this process."""
        return self._shared.keys()

    def begin(self, session_id: str, now: float) -> Session:
        """A session that did not exist in this process, with the users that other workers have in it."""
        session = Session(session_id, new_epoch(), self._rules, created_at=now)
        self._shared[session_id] = SharedSession(session, self.worker, _new_suffix)
        for came in self._presence.elsewhere(session_id):
            session.admit(came.user_id, came.username)
        self.read_again(session_id)
        return session

    def find(self, session_id: str) -> SharedSession:
        """The session that another worker or Redis names; it begins here too if it has not yet."""
        if session_id not in self._shared:
            self._local[session_id] = self.begin(session_id, time.time())
        return self._shared[session_id]

    def in_use(self, session_id: str) -> bool:
        """Whether somebody plays or looks on, or operations are on their way."""
        shared = self._shared[session_id]
        return bool(shared.session.participants or self._presence.watched(session_id) or shared)

    def is_confirmed(self, session_id: str) -> bool:
        """Whether no operation is on its way, and what was missed has been read.

        A session that was never read says nothing: it is empty here, and has nothing that could be lost with it.
        """
        shared = self._shared[session_id]
        missed = shared.synced and (session_id in self.unread or session_id in self.reading)
        return not (shared or missed)

    def drop(self, session_id: str) -> SharedSession:
        """Forget the session in this process."""
        self._local.pop(session_id, None)
        self.unread.discard(session_id)
        return self._shared.pop(session_id)

    def end(self, session_id: str) -> None:
        """Forget the session here, and in Redis unless others have gone further."""
        self.ended.append((session_id, self.drop(session_id).replica.stamp))
        self.wake.set()

    def read_again(self, *session_ids: str) -> None:
        """Have sessions read before anything else is sent."""
        self.unread.update(session_ids)
        self.wake.set()

    def take_unread(self, most: int) -> list[SharedSession]:
        """Some of the sessions that are to be read, which are `reading` until `adopted`."""
        self.reading = {self.unread.pop() for _ in range(min(len(self.unread), most))}
        return [self.find(session_id) for session_id in self.reading]

    def adopted(self) -> None:
        """What was taken last has been read."""
        self.reading = set()


def new_epoch() -> str:
    """An epoch that no other process chooses."""
    return secrets.token_hex(6)


def _new_suffix() -> str:
    return secrets.token_hex(3)
