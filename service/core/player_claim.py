"""Who may play as a user where players are locked: whoever did so first, as long as the session lasts.

The *holder* of a user is text that workers can share. It names a secret, of which only the hash is kept, or, where the
first join brought none, one connection until it ends.

    secret:SHA256                   whoever brings the secret
    connection:WORKER:NUMBER        that connection
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

_CONNECTION: Final = re.compile(r"connection:([A-Za-z0-9_.-]{1,64}):[0-9]{1,16}")


@dataclass(frozen=True, slots=True)
class Claim:
    """A connection's claim to play as a user of a session, with the secret that it brought or None.

    `connection` is the connection as a holder, made by `connection_holder`.
    """

    session_id: str
    user_id: str
    connection: str
    secret: str | None

    @property
    def holder(self) -> str:
        """The holder that the claim would make."""
        return self.connection if self.secret is None else secret_holder(self.session_id, self.user_id, self.secret)

    def allowed_by(self, current: str | None) -> bool:
        """Whether it may be granted where `current` holds the user; a connection may replace itself by its secret."""
        return current in {None, self.holder, self.connection}


def secret_holder(session_id: str, user_id: str, secret: str) -> str:
    """The holder that a secret makes; the same secret is another one elsewhere, so holders say nothing in common."""
    return "secret:" + hashlib.sha256(f"{session_id}\n{user_id}\n{secret}".encode("ascii")).hexdigest()


def connection_holder(worker: str, number: int) -> str:
    """The holder that a connection without a secret makes."""
    return f"connection:{worker}:{number}"


def worker_of(holder: str) -> str | None:
    """The worker whose connection holds the user; None where something else does."""
    named = _CONNECTION.fullmatch(holder)
    return None if named is None else named[1]
