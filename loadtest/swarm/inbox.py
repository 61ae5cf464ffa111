"""What all sockets of a process receive, on its way into the ledger.

Most boards are the same text as the one before, sent to the next receiver: those cost one comparison
and a row. Only a text that was not seen lately is parsed.
"""

from __future__ import annotations

import json
import re
import struct
from typing import Final

from loadtest.measure.board_spread import BoardHead
from loadtest.measure.pair_ledger import Ledger

# The service writes `type` first and without blanks, so one letter tells the messages that are read from all others;
# tests/loadtest/swarm/test_inbox.py holds that against every message of the protocol.
TYPE_AT: Final = len('{"type":"')
BOARD, RANK, ERROR = b"lue"

_HEAD_SIZE: Final = 128  # bytes of a board within which its version, epoch and time of sending tell it from others
_FIRST = struct.Struct(f"{_HEAD_SIZE}s")
_HEAD = re.compile(
    rb'\{"type":"leaderboard-update","data":\{"version":(\d+),"updates":(\d+),"epoch":"([^"\\]*)",'
    rb'"sentAt":([0-9.eE+]+),"oldestAt":(null|[0-9.eE+]+)'
)
_REMEMBERED_HEADS: Final = 1024


class Inbox:
    """Logs boards by number. `head` and `number` are those of the last board, `log` appends a `ROW` to the ledger's."""

    def __init__(self, ledger: Ledger) -> None:
        self.log = ledger.log
        self.others = 0  # frames that were no board
        self.head, self.number = b"-", -1
        self._enter_board = ledger.board
        self._heads: dict[bytes, int] = {}  # of boards seen lately, with the ledger's numbers
        self._older_heads: dict[bytes, int] = {}

    def see(self, data: bytearray, start: int, stop: int) -> int:
        """The ledger's number for a board that is another one than the last."""
        whole = stop - start >= _HEAD_SIZE
        (key,) = _FIRST.unpack_from(data, start) if whole else (bytes(data[start:stop]),)
        number = self._heads.get(key)
        if number is None:
            number = self._older_heads.get(key)
            if number is None:
                number = self._enter_board(board_head(data, start, stop))
            if len(self._heads) >= _REMEMBERED_HEADS:
                self._older_heads, self._heads = self._heads, {}
            self._heads[key] = number
        self.head, self.number = key, number
        return number


def board_head(data: bytearray, start: int, stop: int) -> BoardHead:
    """What a `leaderboard-update` says before its rows; its text lies in `data` from `start` to `stop`."""
    match = _HEAD.match(data, start, stop)
    if match is not None:
        version, updates, epoch, sent_at, oldest_at = match.groups()
        oldest = None if oldest_at == b"null" else float(oldest_at)
        return BoardHead(int(version), int(updates), epoch.decode(), float(sent_at), oldest)
    # Another writer of JSON, with blanks or escapes: right, but slower.
    board = json.loads(data[start:stop])["data"]
    return BoardHead(board["version"], board["updates"], board["epoch"], board["sentAt"], board["oldestAt"])
