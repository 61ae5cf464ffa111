"""What a hostile client sends: texts that are no messages, frames that RFC 6455 forbids, messages out of place."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from raw_client import frame
from websockets.frames import Opcode

TEXT, BINARY, CONT, CLOSE, PING, PONG = (
    Opcode.TEXT, Opcode.BINARY, Opcode.CONT, Opcode.CLOSE, Opcode.PING, Opcode.PONG,
)  # fmt: skip
HELLO = b'{"type":"ping","data":{}}'
JOIN = b'{"type":"join-demo","data":{"userId":"mallory","sessionId":"HOSTILE"}}'
SCORE = b'{"type":"update-score","data":{"points":5,"opId":"12345678"}}'
LEAVE = b'{"type":"leave-demo","data":{}}'
WATCH = b'{"type":"watch-demo","data":{"sessionId":"HOSTILE"}}'


def update(points: str) -> str:
    return '{"type":"update-score","data":{"points":' + points + "}}"


def join(user: str, **more: str) -> str:
    fields = "".join(f',"{key}":{value}' for key, value in more.items())
    return '{"type":"join-demo","data":{"userId":' + user + fields + "}}"


BAD_MESSAGES = {
    "null": "null", "number": "1", "array": "[]", "string": '"x"', "no type": "{}", "null type": '{"type":null}',
    "number type": '{"type":5}', "array data": '{"type":"ping","data":[]}', "null data": '{"type":"ping","data":null}',
    "no points": '{"type":"update-score","data":{}}', "no data": '{"type":"update-score"}',
    "true points": update("true"), "string points": update('"5"'), "float points": update("5.0"),
    "exponent points": update("1e2"), "NaN points": update("NaN"), "infinite points": update("-Infinity"),
    "overflowing points": update("1e999"), "null points": update("null"), "huge points": update("9" * 3000),
    "too many points": update("1000001"), "too few points": update("-1000001"),
    "blank user": join('""'), "long user": join('"' + "u" * 65 + '"'), "spaced user": join('"a b"'),
    "newline user": join(r'"ab\n"'), "slash user": join('"a/b"'), "umlaut user": join('"ä"'), "number user": join("5"),
    "blank session": join('"a"', sessionId='""'), "slash session": join('"a"', sessionId='"../etc"'),
    "null name": join('"a"', username="null"), "blank name": join('"a"', username='"  "'),
    "long name": join('"a"', username='"' + "n" * 33 + '"'), "control name": join('"a"', username=r'"a\u0000"'),
    "joiner name": join('"a"', username=r'"a\u200db"'), "override name": join('"a"', username=r'"\u202eab"'),
    "line name": join('"a"', username=r'"a\u2028b"'), "private name": join('"a"', username=r'"\ue000"'),
    "unassigned name": join('"a"', username=r'"\u0378"'), "zalgo name": join('"a"', username=r'"a\u0316\u0316\u0316"'),
    "short op": '{"type":"update-score","data":{"points":1,"opId":"1234567"}}',
    "blank op": '{"type":"update-score","data":{"points":1,"opId":""}}',
    "dotted op": '{"type":"update-score","data":{"points":1,"opId":"1234.5678"}}',
    "nesting just allowed as a type": '{"type":' + "[" * 150 + "]" * 150 + "}",
    "markup user": join('"<script>"'), "a name of marks": join('"a"', username=r'"Z\u0351\u036b\u0343"'),
    "short secret": join('"a"', secret='"fifteen-letters"'), "long secret": join('"a"', secret='"' + "x" * 65 + '"'),
    "markup secret": join('"a"', secret='"<script></script>"'), "number secret": join('"a"', secret="1234567890123456"),
    "line feed behind a secret": join('"a"', secret=r'"0123456789abcdef\n"'), "null secret": join('"a"', secret="null"),
    "true t": '{"type":"ping","data":{"t":true}}', "string t": '{"type":"ping","data":{"t":"1"}}',
}  # fmt: skip

BAD_JSON = {
    "empty": "", "word": "hello", "cut": '{"type":"ping"', "tail": '{"type":"ping"} x', "quotes": "{'type':'ping'}",
    "deep": "[" * 2000 + "]" * 2000, "deep object": '{"a":' * 600 + "1" + "}" * 600,
    "deep data": '{"type":"ping","data":' + "[" * 1500 + "]" * 1500 + "}",
    "lone surrogate name": join('"a"', username=r'"\udc00"'),
    "lone surrogate": r'{"type":"\ud800"}', "comma": '{"type":"ping",}', "byte order mark": '\ufeff{"type":"ping"}',
    "raw control": '{"type":"pi\nng"}',
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Bytes on an open connection, and all that comes back: codes of errors and, if it ends, of the close frame."""

    sent: bytes
    errors: tuple[str, ...] = ()
    close: int | None = None


def _ends(code: int, *sent: bytes) -> Case:
    return Case(b"".join(sent), close=code)


def _refused(code: str, *sent: bytes) -> Case:
    return Case(b"".join(sent), errors=(code,))


def _long(size: int) -> bytes:
    """The head of a text frame that announces so many bytes, and none of them."""
    return bytes([0x81, 0xFF]) + struct.pack("!Q", size) + bytes(4)


def _closing(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


FORBIDDEN = {
    "noise": _ends(1002, b"\xff" * 64),
    **{f"opcode {code:#x}": _ends(1002, frame(code)) for code in (*range(3, 8), *range(11, 16))},
    **{f"reserved bit {bit}": _ends(1002, frame(TEXT, HELLO, rsv=bit)) for bit in (1, 2, 4)},
    "reserved bit of a ping": _ends(1002, frame(PING, rsv=4)),
    "no mask on text": _ends(1002, frame(TEXT, HELLO, mask=False)),
    "no mask on binary": _ends(1002, frame(BINARY, HELLO, mask=False)),
    "no mask on a ping": _ends(1002, frame(PING, mask=False)),
    "no mask on a close": _ends(1002, frame(CLOSE, mask=False)),
    "a ping in fragments": _ends(1002, frame(PING, fin=False)),
    "a pong in fragments": _ends(1002, frame(PONG, fin=False)),
    "a close in fragments": _ends(1002, frame(CLOSE, fin=False)),
    "a ping of 126 bytes": _ends(1002, frame(PING, bytes(126))),
    "a pong of 126 bytes": _ends(1002, frame(PONG, bytes(126))),
    "a close of 126 bytes": _ends(1002, _closing(1000, b"r" * 124)),
    "a continuation of nothing": _ends(1002, frame(CONT, HELLO)),
    "the end of nothing": _ends(1002, frame(CONT)),
    "a continuation after the end": _ends(1002, frame(TEXT, HELLO), frame(CONT)),
    "text within text": _ends(1002, frame(TEXT, b"{", fin=False), frame(TEXT, HELLO)),
    "binary within text": _ends(1002, frame(TEXT, b"{", fin=False), frame(BINARY, HELLO)),
    "text within binary": _ends(1002, frame(BINARY, b"{", fin=False), frame(TEXT, HELLO)),
    "half a close code": _ends(1002, frame(CLOSE, b"\x03")),
    **{
        f"close code {code}": _ends(1002, _closing(code))
        for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535)
    },
    "a close reason that is no text": _ends(1007, _closing(1000, b"\xff")),
}
TOO_LARGE = {
    "a ping of 64 KB": _ends(1009, frame(PING, bytes(65_536))),
    "text of 4,097 bytes": _ends(1009, frame(TEXT, b" " * 4097)),
    "binary of 4,097 bytes": _ends(1009, frame(BINARY, bytes(4097))),
    "4,097 bytes of two to a letter": _ends(1009, frame(TEXT, b'"' + "ä".encode() * 2048)),
    "a megabyte": _ends(1009, frame(TEXT, b" " * 1_000_000)),
    "five gigabytes announced": _ends(1009, _long(5_000_000_000)),
    "the largest length": _ends(1009, _long(2**63 - 1)),
    "a length with its first bit": _ends(1009, _long(2**64 - 1)),
    "4,097 bytes in two fragments": _ends(1009, frame(TEXT, b" " * 4096, fin=False), frame(CONT, b" ")),
    "4,097 bytes of binary in two": _ends(1009, frame(BINARY, bytes(4000), fin=False), frame(CONT, bytes(97))),
}
NO_TEXT = {
    "a byte that never is": b"\xff",
    "a lone continuation byte": b'"\x80"',
    "a letter cut short": b'"\xc3"',
    "a letter cut short by the end": b'"\xe2\x82',
    "an overlong slash": b'"\xc0\xaf"',
    "an overlong NUL": b'"\xe0\x80\x80"',
    "a surrogate": b'"\xed\xa0\x80"',
    "a pair of surrogates": b'"\xed\xa0\xbd\xed\xb8\x80"',
    "beyond the last letter": b'"\xf4\x90\x80\x80"',
    "five bytes to a letter": b'"\xf8\x88\x80\x80\x80"',
    "UTF-16": HELLO.decode().encode("utf-16"),
    "Latin-1": '{"type":"ä"}'.encode("latin-1"),
}
OUT_OF_PLACE = {
    "points before a join": _refused("not-joined", frame(TEXT, SCORE)),
    "points of a watcher": _refused("not-joined", frame(TEXT, WATCH), frame(TEXT, SCORE)),
    "points after leaving": _refused("not-joined", frame(TEXT, JOIN), frame(TEXT, LEAVE), frame(TEXT, SCORE)),
    "points of a player who watches now": _refused("not-joined", *(frame(TEXT, one) for one in (JOIN, WATCH, SCORE))),
    "leaving twice": Case(frame(TEXT, LEAVE) * 2),
    "a message of the service": _refused("unknown-type", frame(TEXT, b'{"type":"leaderboard-update","data":{}}')),
    "the type of every prototype": _refused("unknown-type", frame(TEXT, b'{"type":"__proto__","data":{}}')),
    "a type of no table": _refused("unknown-type", frame(TEXT, b'{"type":"subscribe"}')),
    "a type in capitals": _refused("unknown-type", frame(TEXT, b'{"type":"PING"}')),
    "a type with a blank": _refused("unknown-type", frame(TEXT, b'{"type":"ping "}')),
    "a type with a NUL": _refused("unknown-type", frame(TEXT, rb'{"type":"ping\u0000"}')),
    "the type of every object": _refused("unknown-type", frame(TEXT, b'{"type":"__class__"}')),
    "a type of 4,000 letters": _refused("unknown-type", frame(TEXT, b'{"type":"' + b"x" * 4000 + b'"}')),
    "a message in binary": _refused("bad-message", frame(BINARY, HELLO)),
    "binary of nothing": _refused("bad-message", frame(BINARY)),
    "the largest binary": _refused("bad-message", frame(BINARY, bytes(4096))),
    "binary in fragments": _refused("bad-message", frame(BINARY, b"{", fin=False), frame(CONT, b"}")),
    "text of nothing in fragments": _refused("bad-json", frame(TEXT, fin=False), frame(CONT)),
    "blanks up to the limit": _refused("bad-json", frame(TEXT, b" " * 4096)),
    "a ping between fragments": Case(frame(TEXT, HELLO[:5], fin=False) + frame(PING) + frame(CONT, HELLO[5:])),
    "a letter cut by fragments": _refused(
        "unknown-type", frame(TEXT, b'{"type":"\xc3', fin=False), frame(CONT, b'\xa4"}')
    ),
    "a pong that nobody asked for": Case(frame(PONG, b"hello")),
    "the largest ping": Case(frame(PING, bytes(125))),
    "a key twice": Case(frame(TEXT, b'{"type":"nonsense","type":"ping"}')),
    "fields of no table": Case(frame(TEXT, b'{"type":"ping","data":{"__proto__":{},"t":1},"constructor":1}')),
    "an error for each": Case(frame(TEXT, b"x") * 30, errors=("bad-json",) * 30),
    "the hundred and first wrong frame": Case(frame(TEXT, b"x") * 103, errors=("bad-json",) * 101, close=4400),
    "a close without a code": Case(frame(CLOSE), close=1005),
    "a close, then more": Case(_closing(1000) + frame(TEXT, b"x") * 3, close=1000),
    "a close with a code of one's own": Case(_closing(4999), close=4999),
}
FRAMES: dict[str, Case] = {
    **{
        f"bad message: {name}": _refused("bad-message", frame(TEXT, text.encode()))
        for name, text in BAD_MESSAGES.items()
    },
    **{f"bad JSON: {name}": _refused("bad-json", frame(TEXT, text.encode())) for name, text in BAD_JSON.items()},
    **{f"no text: {name}": _ends(1007, frame(TEXT, data)) for name, data in NO_TEXT.items()},
    **{f"forbidden: {name}": case for name, case in FORBIDDEN.items()},
    **{f"too large: {name}": case for name, case in TOO_LARGE.items()},
    **{f"out of place: {name}": case for name, case in OUT_OF_PLACE.items()},
}
