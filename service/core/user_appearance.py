"""What a user id stands for: the six demo users, and an avatar and a colour for everybody else.

The rule of this file: an id has the same avatar and colour in every process, forever. That is why
the hash is CRC-32 and not Python's `hash()`, which differs from process to process.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

from service.core.username import MAX_USERNAME, clean_username


@dataclass(frozen=True, slots=True)
class Appearance:
    """How a user is drawn: `avatar` is one emoji, `color` is `#rrggbb`."""

    avatar: str
    color: str


@dataclass(frozen=True, slots=True)
class DemoUser:
    """One of the users a presenter can pick, with the score that Populate sets."""

    id: str
    username: str
    look: Appearance
    demo_score: int


DEMO_USERS: dict[str, DemoUser] = {
    user.id: user
    for user in (
        DemoUser("alice", "Alice", Appearance("🦊", "#d55e00"), 145),
        DemoUser("bob", "Bob", Appearance("🐼", "#0072b2"), 132),
        DemoUser("charlie", "Charlie", Appearance("🦁", "#e69f00"), 128),
        DemoUser("diana", "Diana", Appearance("🦄", "#cc79a7"), 115),
        DemoUser("eve", "Eve", Appearance("🦉", "#009e73"), 98),
        DemoUser("frank", "Frank", Appearance("🐸", "#56b4e9"), 87),
    )
}

AVATARS = tuple(
    "🐶🐱🐭🐹🐰🐻🐨🐯🐮🐷🐵🐔🐧🐦🦆🦅🦇🐺🐗🐴🐝🐛🦋🐌🐞🐢🐍🦎🐙🦑🦀🐡🐠🐬🐳🦈🐊🐅🦓🦍🐘🦛🦏🐪🦒🐂🐎🐏🦌🦃🐓🦚🦜🦢🕊🐇🦝🦡🐁🐿🦔"
)
COLORS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
    "#7f3c8d", "#11a579", "#3969ac", "#e73f74", "#80ba5a", "#a5673f",
)  # fmt: skip


@lru_cache(maxsize=32_768)
def appearance_of(user_id: str) -> Appearance:
    """A user's appearance: the demo user's own, otherwise derived from the id alone."""
    if (user := DEMO_USERS.get(user_id)) is not None:
        return user.look
    digest = crc32(user_id.encode("ascii"))
    return Appearance(AVATARS[digest % len(AVATARS)], COLORS[(digest >> 16) % len(COLORS)])


def default_username(user_id: str) -> str:
    """The name of a user without a given one: the demo user's, otherwise the id's first 32 characters."""
    user = DEMO_USERS.get(user_id)
    return user.username if user is not None else user_id[:MAX_USERNAME]


def shown_username(user_id: str, name: str) -> str:
    """The name as it may be shown; one that may not is replaced by the default."""
    if name.isascii() and name.isprintable() and name == name.strip() and 1 <= len(name) <= MAX_USERNAME:
        return name  # most names, a hundred times as fast
    try:
        return clean_username(name)
    except ValueError:
        return default_username(user_id)
