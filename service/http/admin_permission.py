"""Who may populate, reset, and do what the host of a show does.

With an admin token, everybody who has it. Without one, a person at this machine: a call that comes from loopback, to a
loopback name, through no proxy, to a service that answers to no other name. A proxy on the same machine makes every
stranger a caller from loopback, and an allowed name is there for somebody else to use.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Final, Self

from fastapi import HTTPException, Request

from service.core.host_names import Authority
from service.core.line_budget import LineBudget
from service.core.local_addresses import is_loopback
from service.http.wrong_tokens import WrongTokens

LONGEST: Final = 60  # characters of an address in the log: a proxy's header may name anything
_FORWARDING: Final = ("forwarded", "via", "x-real-ip")
_TO_DO: Final = "start the service with --admin-token-file, and send Authorization: Bearer with that token"

# The statuses of a caller who may not, for the description of the calls.
REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    401: {"description": "No admin token, or a wrong one"},
    403: {"description": "No direct call on the service's machine, and the service has no admin token"},
    429: {"description": "Too many wrong admin tokens; `Retry-After` says how many seconds to wait"},
}

log = logging.getLogger("leaderboard.admin")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: `forwarded` is the header by which a proxy in between shows itself, or None."""

    address: str = ""
    host: str = ""
    authorization: str | None = None
    forwarded: str | None = None

    @classmethod
    def of(cls, request: Request) -> Self:
        """The caller of a request."""
        return cls(
            request.client.host if request.client else "",
            request.headers.get("host", ""),
            request.headers.get("authorization"),
            next(filter(_tells_of_a_proxy, request.headers), None),
        )


@dataclass(frozen=True, slots=True)
class AdminRefusal:
    """Why a caller may not: the status, what was expected and what came; `wait` in seconds, where waiting helps."""

    status: int
    detail: str
    wait: float = 0.0

    def to_exception(self) -> HTTPException:
        """The answer."""
        headers = {"WWW-Authenticate": "Bearer"} if self.status == 401 else {}
        if self.wait:
            headers["Retry-After"] = str(math.ceil(self.wait))
        return HTTPException(self.status, self.detail, headers)


@dataclass(frozen=True, slots=True)
class Admin:
    """The rule: `token` opens to all who have it; `has_other_names`: a host or an origin beyond loopback may call.

    The token is compared in constant time, and an address may send few wrong ones.
    """

    token: str | None = None
    open_to_all: bool = False
    has_other_names: bool = False
    _wrong: WrongTokens = field(default_factory=WrongTokens, repr=False, compare=False)
    _lines: LineBudget = field(default_factory=LineBudget, repr=False, compare=False)

    @property
    def is_closed(self) -> bool:
        """Whether nobody may, because no token was given to a service that others call."""
        return self.token is None and not self.open_to_all and self.has_other_names

    async def check(self, request: Request) -> None:
        """Raise `HTTPException`, 401, 403 or 429, when the caller may not."""
        refusal = self.refusal(Caller.of(request), time.monotonic())
        if refusal is not None:
            raise refusal.to_exception()

    def refusal(self, caller: Caller, now: float) -> AdminRefusal | None:
        """Why the caller may not at `now` (seconds, monotonic), or None."""
        if self.token is not None:
            return self._refusal_with(self.token, caller, now)
        came = None if self.open_to_all else self._not_from_here(caller)
        if came is None:
            return None
        return AdminRefusal(403, f"expected a direct call on this machine, got {came}; {_TO_DO}")

    def _refusal_with(self, token: str, caller: Caller, now: float) -> AdminRefusal | None:
        if caller.authorization is None:
            return AdminRefusal(401, "expected Authorization: Bearer with the admin token, got none")
        wait = self._wrong.take(caller.address, now)
        if wait:
            self._note("too many wrong admin tokens", 429, caller, now)
            return AdminRefusal(429, f"expected fewer wrong admin tokens, got too many: wait {math.ceil(wait)} s", wait)
        if secrets.compare_digest(_credentials(caller.authorization), token.encode()):
            self._wrong.forget(caller.address)
            return None
        self._note("a wrong admin token", 401, caller, now)
        return AdminRefusal(401, "expected Authorization: Bearer with the admin token, got another")

    def _not_from_here(self, caller: Caller) -> str | None:
        """What shows that the caller may be somebody else than a person at this machine, or None."""
        authority = Authority.parse(caller.host)
        if not is_loopback(caller.address):
            return "one from another machine"
        if authority is None or not is_loopback(authority.name):
            return "one to another name than that of loopback"
        if caller.forwarded is not None:
            return f"one through a proxy, which sent {caller.forwarded}"
        return "a service with an --allowed-host or --allowed-origin for others" if self.has_other_names else None

    def _note(self, what: str, code: int, caller: Caller, now: float) -> None:
        more = self._lines.more(what, now)
        if more is not None:
            log.warning(
                "%s from %s%s", what, ascii(caller.address)[:LONGEST], more,
                extra={"event": "refused-token", "code": code, "address": caller.address},
            )  # fmt: skip


def _credentials(authorization: str) -> bytes:
    """What a Bearer header carries, and nothing where it has another scheme.

    The scheme comes in any case (RFC 9110, section 11.1). A header comes as Latin-1 and is meant as UTF-8.
    """
    scheme, _, credentials = authorization.partition(" ")
    return credentials.strip(" ").encode("latin-1", "replace") if scheme.lower() == "bearer" else b""


def _tells_of_a_proxy(header: str) -> bool:
    header = header.lower()
    return header in _FORWARDING or header.startswith("x-forwarded-")
