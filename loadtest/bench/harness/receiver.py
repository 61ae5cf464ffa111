"""The receiving process: thousands of raw sockets, read as cheaply as Python can, for every server alike.

It reads commands from stdin, each a line of JSON, and answers each with one line on stdout;
`receiver_process.ReceiverProcess` is the other end. It ends with its stdin, or after ten minutes without a command.

Two decisions make its figures fair. It does not wait for the sockets but looks at them every few milliseconds:
so no server pays for waking up a client on its own machine, which no client elsewhere would make it pay. And it
does not go by its own clock: the kernel stamps what arrives (SO_TIMESTAMPNS), so that when a board arrived does
not depend on when, or how fast, it was read here.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import random
import select
import socket
import struct
import sys
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np

from loadtest.bench.harness.statistics import summary
from loadtest.target.open_files import raise_file_limit

POLL_SECONDS: Final = 0.005
AT_ONCE: Final = 0.02  # seconds; ticks are farther apart
PATIENCE: Final = 600.0  # seconds without a command
CONNECT_SECONDS: Final = 60.0
_TIMESTAMPNS: Final = getattr(socket, "SO_TIMESTAMPNS", 35)
_STAMP: Final = struct.Struct("@qq")
_ANCILLARY: Final = socket.CMSG_SPACE(_STAMP.size)
_BUFFER: Final = bytearray(1 << 20)
_VIEW: Final = memoryview(_BUFFER)
_BUFFERS: Final = [_BUFFER]
CROWD: Final = b'{"type":"participants-changed"'
_TEXT, _CLOSE, _PING = 0x81, 0x88, 0x89

_CONNECTING, _UPGRADING, _GREETING, _OPEN, _ENDED = range(5)


def masked(payload: bytes, opcode: int = _TEXT) -> bytes:
    """A client's frame. The mask is zero: what matters is that the server has to unmask it."""
    size = len(payload)
    head = bytes((opcode, 0x80 | size)) if size < 126 else bytes((opcode, 0x80 | 126)) + size.to_bytes(2)
    return head + b"\0\0\0\0" + payload


class ReceiverSocket:
    """One socket. `serial` numbers the sockets of this process from 0."""

    __slots__ = (
        "ended_with", "greeted", "most_notices", "noticed_at", "notices", "reading", "recorded", "rest", "serial",
        "socket", "state",
    )  # fmt: skip

    def __init__(self, serial: int, connection: socket.socket) -> None:
        self.serial = serial
        self.socket = connection
        self.state = _CONNECTING
        self.rest = b""  # the beginning of a frame whose end is still to come
        self.recorded = False
        self.reading = True
        # Messages that are no boards and came at once, which is to say in one tick.
        self.notices = self.most_notices = 0
        self.noticed_at = 0.0
        self.ended_with = 0
        self.greeted = False


class Receiver:
    """All sockets, and the commands about them."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._clients: dict[int, ReceiverSocket] = {}  # by serial
        self._by_fd: dict[int, ReceiverSocket] = {}
        self._pending: dict[int, ReceiverSocket] = {}  # not open yet, by serial
        self._serial = 0
        self._target: dict[str, Any] = {}
        self._mark = b""
        self._since = b'"sentAt":'
        self._closes: Counter[int] = Counter()
        self._recorded = (0, 1 << 30)
        self._forget()
        # Playing
        self._players: list[ReceiverSocket] = []
        self._play_frame = b""
        self._play_period = 0.0
        self._play_due = float("inf")
        self._turn = 0
        self._unsent = 0
        # Commands
        self._input = b""
        self._done = False
        self._answer_when: Callable[[], dict[str, Any] | None] | None = None
        self._wanted = 0
        self._connect_until = 0.0
        self._in_flight = 0

    def _forget(self) -> None:
        self._versions = array("q")
        self._stamps = array("d")
        self._owners = array("i")
        self._sizes = 0
        self._sent_at: dict[int, float] = {}

    # The loop

    def run(self) -> None:
        """Receive until stdin ends."""
        os.set_blocking(0, False)
        self._epoll.register(0, select.EPOLLIN)
        heard = next_poll = time.monotonic()
        while not self._done:
            now = time.monotonic()
            if now >= self._play_due:
                self._play(now)
            due = min(next_poll, self._play_due)
            if due > now and not self._pending:
                time.sleep(due - now)
                continue
            if self._poll():
                heard = now
            if self._wanted or self._pending:
                self._connect_more()
            if self._answer_when is not None and (answer := self._answer_when()) is not None:
                self._answer_when = None
                self._say(answer)
            next_poll = now + POLL_SECONDS
            if now - heard > PATIENCE:
                return

    def _poll(self) -> bool:
        """Deal with every descriptor that has something; return whether a command was among it."""
        heard = False
        for fd, _ in self._epoll.poll(0.001 if self._pending else 0, 20_000):
            if fd == 0:
                heard = True
                self._hear()
            elif (client := self._by_fd.get(fd)) is not None:
                if client.state == _OPEN:
                    self._read(client)
                else:
                    self._advance(client)
        return heard

    def _read(self, client: ReceiverSocket) -> None:
        try:
            size, ancillary, _, _ = client.socket.recvmsg_into(_BUFFERS, _ANCILLARY)
        except BlockingIOError:
            return
        except OSError:
            self._end(client, 1006)
            return
        if not size:
            self._end(client, 1006)
            return
        stamp = time.time()
        if ancillary:
            seconds, nanoseconds = _STAMP.unpack(ancillary[0][2])
            stamp = seconds + nanoseconds * 1e-9
        data = _BUFFER
        if client.rest:
            data = bytearray(client.rest) + _VIEW[:size]
            size = len(data)
            client.rest = b""
        self._take(client, data, size, stamp)

    def _take(self, client: ReceiverSocket, data: bytearray, size: int, stamp: float) -> None:  # noqa: C901, PLR0912
        """Walk through the frames. The hot path: it calls nothing for a frame."""
        position = 0
        mark = self._mark
        while position < size:
            start = position + 2
            length = data[position + 1] if start <= size else 127
            if length == 126 and start + 2 <= size:
                start += 2
                length = data[start - 2] << 8 | data[start - 1]
            elif length == 127 and start + 8 <= size:
                start += 8
                length = int.from_bytes(data[start - 8 : start])
            elif length >= 126:
                break
            end = start + length
            if end > size:
                break
            if data[position] == _TEXT:
                if data.startswith(mark, start):
                    client.noticed_at = 0.0  # a tick ends with its board, or with the rest of a crowd
                    if client.recorded:
                        number = start + len(mark)
                        version = int(data[number : data.index(b",", number)])
                        self._versions.append(version)
                        self._stamps.append(stamp)
                        self._owners.append(client.serial)
                        self._sizes += length
                        if version not in self._sent_at:
                            self._note_time(version, data, number, end)
                elif length == 1 and data[start] == 0x32:  # Engine.IO's ping
                    self._send(client, masked(b"3"))
                else:
                    client.notices = client.notices + 1 if stamp - client.noticed_at < AT_ONCE else 1
                    client.noticed_at = 0.0 if data.startswith(CROWD, start) else stamp
                    client.most_notices = max(client.most_notices, client.notices)
            elif data[position] == _PING:
                self._send(client, masked(bytes(data[start:end]), 0x8A))
            elif data[position] == _CLOSE:
                self._end(client, int.from_bytes(data[start : start + 2]) if length >= 2 else 1005)
                return
            position = end
        if position < size:
            client.rest = bytes(data[position:size])

    def _note_time(self, version: int, data: bytearray, start: int, end: int) -> None:
        found = data.find(self._since, start, end)
        if found >= 0:
            found += len(self._since)
            with contextlib.suppress(ValueError):  # null, or the last key of its object
                self._sent_at[version] = float(data[found : data.index(b",", found)]) / 1000

    def _send(self, client: ReceiverSocket, data: bytes) -> None:
        try:
            sent = client.socket.send(data)
        except OSError:
            sent = 0
        self._unsent += sent < len(data)

    def _end(self, client: ReceiverSocket, code: int) -> None:
        if client.state == _ENDED:
            return
        client.state, client.ended_with = _ENDED, code
        self._closes[code] += 1
        self._drop(client)

    def _drop(self, client: ReceiverSocket) -> None:
        client.state = _ENDED
        self._clients.pop(client.serial, None)
        self._pending.pop(client.serial, None)
        self._by_fd.pop(client.socket.fileno(), None)
        client.socket.close()

    # Opening sockets

    def _connect_more(self) -> None:
        while self._wanted and len(self._pending) < self._in_flight:
            self._wanted -= 1
            connection = socket.socket()
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            status = connection.connect_ex(("127.0.0.1", self._target["port"]))
            client = ReceiverSocket(self._serial, connection)
            client.recorded = self._recorded[0] <= client.serial < self._recorded[1]
            self._serial += 1
            if status not in {0, errno.EINPROGRESS}:
                self._closes[1006] += 1
                connection.close()
                continue
            self._clients[client.serial] = self._pending[client.serial] = client
            self._by_fd[connection.fileno()] = client
            self._epoll.register(connection.fileno(), select.EPOLLOUT)

    def _advance(self, client: ReceiverSocket) -> None:
        """Take the next step of the handshake."""
        if client.state == _CONNECTING:
            self._ask_to_upgrade(client)
            return
        try:
            data = client.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end(client, 1006)
            return
        client.rest += data
        if client.state == _UPGRADING:
            self._upgraded(client)
        if client.state == _GREETING:
            self._greet(client)

    def _ask_to_upgrade(self, client: ReceiverSocket) -> None:
        key = base64.b64encode(random.randbytes(16)).decode()
        request = (
            f"GET {self._target['path']} HTTP/1.1\r\nHost: 127.0.0.1:{self._target['port']}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n"
        )
        try:
            client.socket.send(request.encode())
        except OSError:
            self._end(client, 1006)
            return
        client.state = _UPGRADING
        self._epoll.modify(client.socket.fileno(), select.EPOLLIN)

    def _upgraded(self, client: ReceiverSocket) -> None:
        head, blank, rest = client.rest.partition(b"\r\n\r\n")
        if not blank:
            return
        client.rest = rest
        if head.startswith(b"HTTP/1.1 101"):
            client.state = _GREETING
        else:
            self._end(client, int(head.split(b" ", 2)[1]))

    def _greet(self, client: ReceiverSocket) -> None:
        """Say what has to be said first. Engine.IO says 0{…}, we say 40, Socket.IO says 40{…}."""
        if not self._target["engineio"]:
            self._greeted(client)
        elif b'40{"sid"' in client.rest and client.rest.endswith(b"}"):
            client.rest = b""
            self._greeted(client)
        elif b'0{"sid"' in client.rest and not client.greeted:
            client.greeted = True
            self._send(client, masked(b"40"))

    def _greeted(self, client: ReceiverSocket) -> None:
        client.state = _OPEN
        self._pending.pop(client.serial, None)
        for text in self._target["hello"]:
            self._send(client, masked(text.replace("#", str(client.serial)).encode()))
        if client.rest:
            rest, client.rest = bytearray(client.rest), b""
            self._take(client, rest, len(rest), time.time())

    # Playing

    def _play(self, now: float) -> None:
        while self._play_due <= now:
            player = self._players[self._turn % len(self._players)]
            self._turn += 1
            if player.state == _OPEN:
                self._send(player, self._play_frame)
            self._play_due += self._play_period

    # Commands

    def _hear(self) -> None:
        try:
            data = os.read(0, 65536)
        except BlockingIOError:
            return
        if not data:
            self._done = True
            return
        *lines, self._input = (self._input + data).split(b"\n")
        for line in lines:
            command = json.loads(line)
            answer = getattr(self, f"do_{command.pop('do')}")(**command)
            if answer is not None:
                self._say(answer)

    def _say(self, answer: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()

    def _who(self, first: int, stop: int) -> Iterable[ReceiverSocket]:
        return [client for serial, client in list(self._clients.items()) if first <= serial < stop]

    def do_target(self, **target: Any) -> dict[str, Any]:
        """Where to connect: `port`, `path`, `engineio`, `hello` (texts, # is the serial), `mark`, `since`."""
        self._target = target
        self._mark = target["mark"].encode()
        self._since = target["since"].encode()
        return {}

    def do_connect(self, count: int, in_flight: int = 32, *, wait: bool = True) -> dict[str, Any] | None:
        """Open sockets, so many of them at a time."""
        raise_file_limit(len(self._clients) + count)
        began = time.monotonic()
        self._wanted += count
        self._in_flight = in_flight
        self._connect_more()

        def answer() -> dict[str, Any] | None:
            took = time.monotonic() - began
            if (self._wanted or self._pending) and took < CONNECT_SECONDS:
                return None
            return {"open": sum(client.state == _OPEN for client in self._clients.values()), "seconds": took}

        if wait:
            self._answer_when = answer
            return None
        return {"next": self._serial}

    def do_tell(self, texts: list[str], first: int, stop: int) -> dict[str, Any]:
        """Send these texts on these sockets."""
        for client in self._who(first, stop):
            for text in texts:
                self._send(client, masked(text.replace("#", str(client.serial)).encode()))
        return {"unsent": self._unsent}

    def do_play(self, text: str, hz: float, first: int, stop: int) -> dict[str, Any]:
        """From now on send this text so often a second, each time on another of these sockets; 0 to stop."""
        self._players = list(self._who(first, stop))
        random.Random(1).shuffle(self._players)
        self._play_frame = masked(text.encode())
        self._play_period = 1 / hz if hz else 0.0
        self._play_due = time.monotonic() if hz else float("inf")
        return {}

    def do_record(self, first: int, stop: int) -> dict[str, Any]:
        """Forget what was recorded and from now on record what these sockets get."""
        self._forget()
        self._recorded = (first, stop)
        for client in self._clients.values():
            client.recorded = first <= client.serial < stop
            client.notices = client.most_notices = 0
        return {}

    def do_report(self, since: float, until: float) -> dict[str, Any]:
        """What was recorded between two times (Unix seconds)."""
        figures = summary(
            np.frombuffer(self._versions, np.int64),
            np.frombuffer(self._stamps, np.float64),
            np.frombuffer(self._owners, np.int32),
            self._sent_at,
            since,
            until,
        )
        mean = self._sizes / len(self._versions) if self._versions else 0.0
        notices = max((one.most_notices for one in self._clients.values() if one.recorded), default=0)
        return figures | {"payload_bytes": mean, "most_notices": notices, "unsent": self._unsent} | self.do_count()

    def do_count(self) -> dict[str, Any]:
        """How many sockets are open, and how the others ended."""
        return {"open": len(self._clients), "pending": len(self._pending), "closes": dict(self._closes)}

    def do_stop_reading(self, first: int, stop: int) -> dict[str, Any]:
        """Read these sockets no more."""
        for client in self._who(first, stop):
            if client.reading:
                client.reading = False
                self._epoll.unregister(client.socket.fileno())
        return {}

    def do_close(self, first: int, stop: int) -> dict[str, Any]:
        """End these sockets without a word, as a phone that is switched off does not even do."""
        for client in self._who(first, stop):
            self._drop(client)
        return {}


def main() -> None:
    """Receive as told."""
    Receiver().run()


if __name__ == "__main__":
    main()
