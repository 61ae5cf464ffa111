"""`python senders.py KIND HOST PORT`: one socket that floods a service on loopback with one thing, until it is ended.

A connection that the service ends is opened again at once. `silent` opens as many as this process may have.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

from websockets.frames import Frame, Opcode

AT_ONCE = 10_000  # frames in a write
BATCH = 500  # messages in a write
CROWD = 200  # requests at once
HELD = 3000  # silent sockets
HEAD = "GET /health HTTP/1.1\r\nHost: localhost\r\n"
RESET = (
    "POST /api/demo/reset HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nAuthorization: Bearer wrong-{}\r\n\r\n"
)
UPGRADE = (
    "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)


def _frames(opcode: Opcode, payload: bytes = b"", *, final: bool = True) -> bytes:
    return Frame(opcode, payload, final).serialize(mask=True) * AT_ONCE


def _again(connection: socket.socket, data: bytes) -> None:
    while True:
        connection.sendall(data)


def _upgrade(connection: socket.socket) -> None:
    connection.sendall(UPGRADE.encode())
    connection.recv(4096)
    # What comes is read, else the service would only wait for this client.
    threading.Thread(target=_read, args=(connection,), daemon=True).start()


def _read(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while connection.recv(1 << 20):
            pass


def pings(connection: socket.socket) -> None:
    """Pings, each of which asks for a pong."""
    _upgrade(connection)
    _again(connection, _frames(Opcode.PING))


def pongs(connection: socket.socket) -> None:
    """Pongs that nobody asked for."""
    _upgrade(connection)
    _again(connection, _frames(Opcode.PONG))


def fragments(connection: socket.socket) -> None:
    """A message in empty fragments without end."""
    _upgrade(connection)
    connection.sendall(Frame(Opcode.TEXT, b"{", fin=False).serialize(mask=True))
    _again(connection, _frames(Opcode.CONT, final=False))


def joins(connection: socket.socket) -> None:
    """Joins, each to another session."""
    _upgrade(connection)
    _say_all(connection, b'{"type":"join-demo","data":{"userId":"u%d","sessionId":"FLOOD%d"}}')


def watches(connection: socket.socket) -> None:
    """Watching one session after the other."""
    _upgrade(connection)
    _say_all(connection, b'{"type":"watch-demo","data":{"userId":"u%d","sessionId":"FLOOD%d"}}')


def heads(connection: socket.socket) -> None:
    """A crowd of requests, each on a connection of its own, all at once."""
    crowd = [connection, *(socket.create_connection(connection.getpeername(), timeout=5) for _ in range(CROWD - 1))]
    for one in crowd:
        one.sendall(f"{HEAD}Connection: close\r\n\r\n".encode())
    for one in crowd:
        _read(one)
        one.close()


def tokens(connection: socket.socket) -> None:
    """Guesses at the admin token."""
    for number in _numbers():
        connection.sendall(RESET.format(number).encode())
        if not connection.recv(65_536):
            return


def silent(connection: socket.socket) -> None:
    """As many connections as there may be, that say nothing; the oldest makes room for the next."""
    address, held = connection.getpeername(), [connection]
    while True:
        try:
            held.append(socket.create_connection(address, timeout=5))
        except OSError:
            time.sleep(0.01)
        if len(held) > HELD:
            held.pop(0).close()


KINDS: dict[str, Callable[[socket.socket], None]] = {
    one.__name__: one for one in (pings, pongs, fragments, joins, watches, heads, silent, tokens)
}


def _numbers() -> Iterator[int]:
    """Numbers that no other sender draws."""
    start = time.monotonic_ns()
    while True:
        yield start % 10**9
        start += 1


def _say_all(connection: socket.socket, text: bytes) -> None:
    """Send the text again and again with other numbers in it, masked by zeros, which is quick."""
    numbers = _numbers()
    while True:
        made = [text % (number, number) for number in itertools.islice(numbers, BATCH)]
        connection.sendall(b"".join(b"\x81" + bytes([0x80 | len(one)]) + bytes(4) + one for one in made))


def main(kind: str, host: str, port: str) -> None:
    """Flood until ended, behind all others: a flood from elsewhere takes no CPU of this machine."""
    os.nice(19)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    while True:
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=5) as connection:
            KINDS[kind](connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
