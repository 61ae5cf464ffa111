"""JSON messages from a client, right and wrong: messages of the protocol with other values, and with other bytes."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from service.core.protocol import MAX_FRAME

USERS = tuple(f"fuzz-{number}" for number in range(40))
SESSIONS = tuple(f"FUZZ{number}" for number in range(5))
TEXTS = (
    "", " ", "a", "x" * 64, "x" * 65, "é", "e\u0301" * 9, "🦊", "\u202e", "\u200d", "\u3164", "\x00", "\ud800", "../..",
    "<script>", "__proto__", "NaN", "-0", "1e999", "null", "\r\n", "%s%n", "'; --", "\ufeff", "\U000e0041",
)  # fmt: skip
NUMBERS = (0, -1, 1, 10**6, 10**6 + 1, -(10**6), 10**12, 2**53, 2**63, 2**64, 10**400, 0.5, -0.0, 1e308, 5e-324)
MARKS = ("{", "}", "[", "]", '"', ",", ":", "\\", "\\u", "\\ud800", "NaN", "1e9999", "-", "\t", "/**/", "'", "0x1")


def message(rng: Random) -> str:
    """One message of at most `MAX_FRAME` bytes."""
    return rng.choices(WAYS, (4, 4, 3, 1, 1))[0](rng).encode("utf-8", "replace")[:MAX_FRAME].decode("utf-8", "ignore")


def right(rng: Random) -> str:
    """A message as the protocol has it."""
    return json.dumps(_right(rng))


def _right(rng: Random) -> dict[str, Any]:
    kind = rng.choice(("join-demo", "update-score", "update-score", "watch-demo", "leave-demo", "ping"))
    data: dict[str, Any] = {}
    if kind == "join-demo":
        data = {"userId": rng.choice(USERS), "sessionId": rng.choice(SESSIONS), "username": rng.choice(TEXTS)}
    elif kind == "watch-demo":
        data = {"sessionId": rng.choice(SESSIONS)}
    elif kind == "update-score":
        data = {"points": rng.randint(-1000, 1000), "opId": f"fuzz-{rng.randrange(2000):06}"}
    return {"type": kind, "data": data}


def _other_value(rng: Random) -> str:
    """A message with a field that has another value, is missing, or is one too many."""
    made = _right(rng)
    place = made["data"] if rng.random() < 0.8 else made
    name = rng.choice([*place, "type", "data", "points", "userId", "opId", "secret", rng.choice(TEXTS)])
    if rng.random() < 0.1:
        place.pop(name, None)
    else:
        place[name] = value(rng, 3)
    return json.dumps(made, ensure_ascii=rng.random() < 0.5)


def value(rng: Random, depth: int) -> Any:
    """Any JSON value."""
    kind = rng.randrange(8 if depth else 6)
    if kind == 6:
        return [value(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind == 7:
        return {rng.choice(TEXTS): value(rng, depth - 1) for _ in range(rng.randrange(4))}
    return rng.choice((None, True, False, rng.choice(TEXTS), rng.choice(NUMBERS), float("nan")))


def _other_text(rng: Random) -> str:
    """A message with pieces of its text replaced, doubled or cut away."""
    text = right(rng)
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + rng.choice((0, 0, 1, 1, 4, 40)))
        text = text[:start] + rng.choice((*MARKS, "", text[start:end] * 2)) + text[end:]
    return text


def _deep(rng: Random) -> str:
    """A value nested as deep as a frame allows, at a place where one is read."""
    depth = rng.choice((100, 127, 128, 129, 200, 1000, 2000))
    opening, closing = rng.choice((("[", "]"), ('{"a":', "}")))
    nested = opening * depth + "0" + closing * (depth if rng.random() < 0.7 else depth - 1)
    return rng.choice((nested, f'{{"type":{nested}}}', f'{{"type":"ping","data":{nested}}}'))


def _noise(rng: Random) -> str:
    """Characters from everywhere."""
    return "".join(chr(rng.choice((rng.randrange(128), rng.randrange(0xD800)))) for _ in range(rng.randrange(200)))


WAYS = (right, _other_value, _other_text, _deep, _noise)
