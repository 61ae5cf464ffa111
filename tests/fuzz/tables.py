"""Score logs for the replay, right and wrong: each is read, or refused with a line that says why."""

from __future__ import annotations

from random import Random

from fuzz.tally import Tally

from loadtest.replay.log_format import BadRow
from loadtest.replay.score_log import parse
from loadtest.replay.text_encoding import decode

CELLS = (
    "0", "1.5", "2026-01-01T10:00:00Z", "2026-01-01 10:00", "10:00:00", "01/02/2026 3:04 PM", "1,5", "-1", "1e3", "nan",
    "inf", "9" * 30, "alice", "bob", "Zoë", "", " ", '"', '""', '"a,b"', "10", "+5", "1.000", "10,0", "1000001", "٣",
    "\u202eadmin", "\x00", "=1+1", "x" * 70, "24:00", "2026-02-30", "12:60", "Jan 5", "−5",
)  # fmt: skip
COLUMNS = ("time", "userId", "username", "points")
HEADERS = (
    "time,userId,username,points", "time;userId;username;points", "time\tuserId\tusername\tpoints", "userId,points", "",
    "points,time,userId", "time,userId,username,points,more", "time,time,userId,points", "sep=;\ntime;userId",
    '"time","userId","username","points"', "TIME, UserID ,username,points", "\ufefftime,userId,username,points",
)  # fmt: skip
ENCODINGS = ("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "cp1252", "utf-16-le")


def table(rng: Random) -> bytes:
    """The bytes of one file."""
    separator = rng.choice((",", ",", ";", "\t", "|"))
    ending = rng.choice(("\n", "\n", "\r\n", "\r", "\n\n"))
    lines = [separator.join(COLUMNS) if rng.random() < 0.6 else rng.choice(HEADERS)]
    for number in range(rng.randrange(6)):
        right = [str(number), f"u{number % 3}", f"User {number % 3}", str(rng.randrange(100))]
        lines.append(separator.join(cell if rng.random() < 0.97 else rng.choice(CELLS) for cell in right))
    data = ending.join(lines).encode(rng.choice(ENCODINGS), "replace")
    if rng.random() < 0.2:
        at = rng.randrange(len(data) + 1)
        data = data[:at] + rng.randbytes(rng.randrange(4)) + data[at + rng.randrange(4) :]
    return data


def check(tally: Tally, number: int, rng: Random) -> None:
    """Read one; anything but rows and a refusal is wrong."""
    data = table(rng)
    try:
        parse(decode(data)[0])
        tally.outcomes["read"] += 1
    except BadRow as refusal:
        tally.outcomes[type(refusal).__name__] += 1
        if not str(refusal).strip():
            tally.find(number, "a refusal without a reason", data)
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        tally.find(number, f"{type(error).__name__}: {error}", data)
    tally.done += 1
