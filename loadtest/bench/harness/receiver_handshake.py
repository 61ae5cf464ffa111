"""Opening sockets: connecting, the upgrade to WebSocket, and what a server wants to hear first."""

from __future__ import annotations

import base64
import errno
import random
import socket
from dataclasses import dataclass

from loadtest.bench.harness.receiver_recorder import TIMESTAMPNS, Recorder
from loadtest.bench.harness.receiver_socket_table import ReceiverSocket, Sockets, State, masked


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, whether it speaks Engine.IO, and the texts to send first, in which # is the serial."""

    port: int
    path: str
    engineio: bool
    hello: tuple[str, ...]


class Handshakes:
    """Opens sockets to the target, `in_flight` of them at a time."""

    def __init__(self, sockets: Sockets, recorder: Recorder) -> None:
        self.target = Target(0, "/", engineio=False, hello=())
        self.next_serial = 0
        self._sockets = sockets
        self._recorder = recorder
        self._wanted = 0
        self._in_flight = 0

    @property
    def under_way(self) -> bool:
        """Whether there are sockets still to be opened."""
        return bool(self._wanted or self._sockets.pending)

    def want(self, count: int, in_flight: int) -> None:
        """Open so many sockets more."""
        self._wanted += count
        self._in_flight = in_flight
        self.connect_more()

    def connect_more(self) -> None:
        """Begin with as many sockets as may be in flight."""
        while self._wanted and len(self._sockets.pending) < self._in_flight:
            self._wanted -= 1
            self._connect()

    def _connect(self) -> None:
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, TIMESTAMPNS, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        status = connection.connect_ex(("127.0.0.1", self.target.port))
        client = ReceiverSocket(self.next_serial, connection)
        client.recorded = self._recorder.covers(client.serial)
        self.next_serial += 1
        if status in {0, errno.EINPROGRESS}:
            self._sockets.add(client)
        else:
            self._sockets.end(client, 1006)

    def advance(self, client: ReceiverSocket) -> None:
        """Take the next step of the handshake."""
        if client.state is State.CONNECTING:
            self._ask_to_upgrade(client)
            return
        try:
            data = client.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._sockets.end(client, 1006)
            return
        client.rest += data
        if client.state is State.UPGRADING:
            self._upgraded(client)
        if client.state is State.GREETING:
            self._greet(client)

    def _ask_to_upgrade(self, client: ReceiverSocket) -> None:
        key = base64.b64encode(random.randbytes(16)).decode()
        request = (
            f"GET {self.target.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.target.port}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n"
        )
        try:
            client.socket.send(request.encode())
        except OSError:
            self._sockets.end(client, 1006)
            return
        client.state = State.UPGRADING
        self._sockets.expect_data(client)

    def _upgraded(self, client: ReceiverSocket) -> None:
        head, blank, rest = client.rest.partition(b"\r\n\r\n")
        if not blank:
            return
        client.rest = rest
        if head.startswith(b"HTTP/1.1 101"):
            client.state = State.GREETING
        else:
            self._sockets.end(client, int(head.split(b" ", 2)[1]))

    def _greet(self, client: ReceiverSocket) -> None:
        """Say what has to be said first. Engine.IO says 0{…}, we say 40, Socket.IO says 40{…}."""
        if not self.target.engineio:
            self._greeted(client)
        elif b'40{"sid"' in client.rest and client.rest.endswith(b"}"):
            client.rest = b""
            self._greeted(client)
        elif b'0{"sid"' in client.rest and not client.greeted:
            client.greeted = True
            self._sockets.send(client, masked(b"40"))

    def _greeted(self, client: ReceiverSocket) -> None:
        client.state = State.OPEN
        self._sockets.pending.pop(client.serial, None)
        for text in self.target.hello:
            self._sockets.say(client, text)
        self._recorder.take_rest(client)
