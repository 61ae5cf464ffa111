"""The sockets of the receiving process: found by serial or by descriptor, sent on, ended and counted."""

from __future__ import annotations

import enum
import select
import socket
from collections import Counter

TEXT = 0x81
_ALL_EVENTS = 20_000  # descriptors of one poll


class State(enum.Enum):
    """How far a socket is. `UPGRADING` waits for the HTTP answer, `GREETING` for what a protocol says first."""

    CONNECTING = 0
    UPGRADING = 1
    GREETING = 2
    OPEN = 3
    ENDED = 4


def masked(payload: bytes, opcode: int = TEXT) -> bytes:
    """A client's frame. The mask is zero: what matters is that the server has to unmask it."""
    size = len(payload)
    head = bytes((opcode, 0x80 | size)) if size < 126 else bytes((opcode, 0x80 | 126)) + size.to_bytes(2)
    return head + b"\0\0\0\0" + payload


class ReceiverSocket:
    """One socket. `serial` numbers the sockets of this process from 0."""

    __slots__ = (
        "greeted", "most_notices", "noticed_at", "notices", "reading", "recorded", "rest", "serial", "socket", "state",
    )  # fmt: skip

    def __init__(self, serial: int, connection: socket.socket) -> None:
        self.serial = serial
        self.socket = connection
        self.state = State.CONNECTING
        self.rest = b""  # the beginning of a frame whose end is still to come
        self.recorded = False
        self.reading = True
        # Messages that are no boards and came at once, which is to say in one tick.
        self.notices = self.most_notices = 0
        self.noticed_at = 0.0
        self.greeted = False


class Sockets:
    """All sockets that have not ended. `closes` counts the others by close code or HTTP status."""

    def __init__(self) -> None:
        self.by_serial: dict[int, ReceiverSocket] = {}
        self.by_descriptor: dict[int, ReceiverSocket] = {}
        self.pending: dict[int, ReceiverSocket] = {}  # not open yet, by serial
        self.closes: Counter[int] = Counter()
        self.unsent = 0  # frames that did not go out whole
        self._epoll = select.epoll()

    def add(self, client: ReceiverSocket) -> None:
        """Add a socket whose connecting has begun."""
        self.by_serial[client.serial] = self.pending[client.serial] = client
        self.by_descriptor[client.socket.fileno()] = client
        self._epoll.register(client.socket.fileno(), select.EPOLLOUT)

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        """The descriptors that have something, each with its events."""
        return self._epoll.poll(timeout, _ALL_EVENTS)

    def poll_also(self, descriptor: int) -> None:
        """Have `poll` look at this descriptor too, which is no socket."""
        self._epoll.register(descriptor, select.EPOLLIN)

    def expect_data(self, client: ReceiverSocket) -> None:
        """Look from now on whether there is something to read, no longer whether it is connected."""
        self._epoll.modify(client.socket.fileno(), select.EPOLLIN)

    def stop_reading(self, client: ReceiverSocket) -> None:
        """Leave what arrives on this socket where it is."""
        if client.reading:
            client.reading = False
            self._epoll.unregister(client.socket.fileno())

    def numbered(self, first: int, stop: int) -> list[ReceiverSocket]:
        """The sockets whose serials are from `first` to before `stop`."""
        return [client for serial, client in self.by_serial.items() if first <= serial < stop]

    def send(self, client: ReceiverSocket, frame: bytes) -> None:
        """Send the frame as far as it goes without waiting."""
        try:
            sent = client.socket.send(frame)
        except OSError:
            sent = 0
        self.unsent += sent < len(frame)

    def say(self, client: ReceiverSocket, text: str) -> None:
        """Send the text, in which # stands for the socket's serial."""
        self.send(client, masked(text.replace("#", str(client.serial)).encode()))

    def end(self, client: ReceiverSocket, code: int) -> None:
        """Close the socket and count why, unless it has ended already."""
        if client.state is State.ENDED:
            return
        self.closes[code] += 1
        self.drop(client)

    def drop(self, client: ReceiverSocket) -> None:
        """Close the socket without a word and without counting it."""
        client.state = State.ENDED
        self.by_serial.pop(client.serial, None)
        self.pending.pop(client.serial, None)
        self.by_descriptor.pop(client.socket.fileno(), None)
        client.socket.close()
