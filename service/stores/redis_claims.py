"""Who may play as whom, settled with the other workers: Redis keeps the holders, and the first who asks it is one.

While Redis is away, or too slow to wait for, a worker decides by what it knows, and asks later. Where two workers have
decided differently by then, the one whom Redis knew first is the holder for all joins to come.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from service.core.player_claim import Claim, worker_of
from service.core.session import Session, taken
from service.core.worker_presence import Presence
from service.stores.redis_gateway import ClaimCall, RedisGateway
from service.stores.redis_sessions import SharedSessions

ANSWER_SECONDS: Final = 0.3  # a claim that Redis has not answered by then is decided here
AT_ONCE: Final = 500  # claims, or releases, in one round trip


@dataclass(slots=True)
class _Asked:
    call: ClaimCall
    answer: asyncio.Future[str] | None = None  # gets the holder; None where nobody waits for it


class PlayerClaims:
    """The claims and releases that are on their way to Redis."""

    def __init__(self, sessions: SharedSessions, presence: Presence) -> None:
        self._sessions = sessions
        self._presence = presence
        self._asked: list[_Asked] = []
        self._released: list[ClaimCall] = []
        self._granted_alone: set[tuple[str, str]] = set()  # sessions and users, since Redis went away

    async def settle(self, session: Session, claim: Claim, *, away: bool) -> None:
        """Grant the claim by what Redis says, or by what is known here where it is away or says nothing in time.

        Raises `Refused` (`taken`).
        """
        known = session.holder(claim.user_id)
        if known == claim.holder:
            return
        if known is not None and worker_of(known) is None:
            raise taken(claim)  # what is no connection holds until the session ends
        if away:
            session.grant(claim)
            self._granted_alone.add((claim.session_id, claim.user_id))
            return
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._ask(_Asked(ClaimCall(claim.session_id, claim.user_id, claim.holder, claim.connection), answer))
        try:
            holder = await asyncio.wait_for(answer, ANSWER_SECONDS)
        except TimeoutError:
            session.grant(claim)
            return
        if holder != claim.holder:
            raise taken(claim)

    def release(self, session_id: str, user_id: str, connection: str) -> None:
        """Have Redis free the user, if the connection holds it there."""
        place = (session_id, user_id)
        if place in self._granted_alone:
            self._granted_alone.remove(place)
            return
        self._released.append(ClaimCall(session_id, user_id, connection, connection))
        self._sessions.wake.set()

    def begin(self) -> None:
        """After a connection was read from: Redis hears of everything that is held here."""
        self._granted_alone.clear()
        self.repeat(self._sessions.ids)

    def repeat(self, session_ids: Iterable[str]) -> None:
        """Claim again, for who was granted it, what is held in these sessions: Redis may have lost it."""
        for session_id in session_ids:
            shared = self._sessions.get(session_id)
            for user_id, holder in {} if shared is None else shared.session.holders.items():
                self._ask(_Asked(ClaimCall(session_id, user_id, holder, holder)))

    def is_settled(self, session_id: str) -> bool:
        """Whether no claim in the session is on its way."""
        return all(asked.call.session_id != session_id for asked in self._asked)

    def _ask(self, asked: _Asked) -> None:
        self._asked.append(asked)
        self._sessions.wake.set()

    async def flush(self, gateway: RedisGateway) -> None:
        """Send what waits. What is not answered waits for the next time; all of it may be sent twice."""
        await self._flush_released(gateway)
        waiting = len(self._asked)  # what is asked again meanwhile has its turn later
        while waiting > 0:
            asked = self._asked[: min(AT_ONCE, waiting)]
            answers = await gateway.claim([one.call for one in asked])
            del self._asked[: len(asked)]
            waiting -= len(asked)
            for one, holder in zip(asked, answers, strict=True):
                self._take(one, holder)
        await self._flush_released(gateway)  # what was granted to connections that had ended meanwhile

    async def _flush_released(self, gateway: RedisGateway) -> None:
        while self._released:
            released = self._released[:AT_ONCE]
            await gateway.release(released)
            del self._released[: len(released)]

    def _take(self, asked: _Asked, holder: str | None) -> None:
        call = asked.call
        shared = self._sessions.get(call.session_id)
        if shared is None:
            return  # it ended meanwhile, and all claims with it
        answer = None if asked.answer is None or asked.answer.done() else asked.answer
        if answer is None and shared.session.holder(call.user_id) != call.holder:
            # Whoever asked has ended meanwhile.
            if holder == call.holder and worker_of(holder) is not None:
                self.release(call.session_id, call.user_id, holder)
        elif holder is None:
            # Redis has no such session: reading makes one.
            self._sessions.read_again(call.session_id)
            self._ask(asked)
        elif holder not in {call.holder, call.gone} and self._is_gone(holder):
            self._ask(_Asked(call.instead_of(holder), answer))
        else:
            shared.session.hold(call.user_id, holder)
            if answer is not None:
                answer.set_result(holder)

    def _is_gone(self, holder: str) -> bool:
        """Whether the connection that holds a user went with its worker."""
        worker = worker_of(holder)
        return worker is not None and self._presence.is_gone(worker, time.monotonic())
