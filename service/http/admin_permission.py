"""Who may populate and reset."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from fastapi import HTTPException, Request

from service.core.host_names import Authority
from service.core.local_addresses import is_loopback


@dataclass(frozen=True, slots=True)
class Admin:
    """Who may populate and reset: with a token everyone who has it, without one this machine alone."""

    token: str | None = None
    open_to_all: bool = False

    async def check(self, request: Request) -> None:
        """Raise `HTTPException`, 401 or 403, when the caller may not."""
        refusal = self.refusal(
            client=request.client.host if request.client else None,
            host=request.headers.get("host", ""),
            authorization=request.headers.get("authorization"),
        )
        if refusal is not None:
            status, detail = refusal
            raise HTTPException(status, detail, {"WWW-Authenticate": "Bearer"} if status == 401 else None)

    def refusal(self, *, client: str | None, host: str, authorization: str | None) -> tuple[int, str] | None:
        """The status and reason to refuse with, or None."""
        if self.token is not None:
            # RFC 9110, section 11.1: the scheme in any case. A header comes as Latin-1 and is meant as UTF-8.
            scheme, _, credentials = (authorization or "").partition(" ")
            sent = credentials.strip(" ").encode("latin-1", "replace")
            if scheme.lower() == "bearer" and secrets.compare_digest(sent, self.token.encode()):
                return None
            return 401, "expected Authorization: Bearer with the admin token, got " + (
                "another" if authorization else "none"
            )
        authority = Authority.parse(host)
        if self.open_to_all or (
            client is not None and is_loopback(client) and authority is not None and is_loopback(authority.name)
        ):
            return None
        return 403, "expected a call from this machine to a loopback address, or a service with an admin token"
