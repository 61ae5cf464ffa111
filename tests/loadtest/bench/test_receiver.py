"""The parts of the receiving process, over pairs of connected sockets."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest

from loadtest.bench.harness.receiver_program import Turns
from loadtest.bench.harness.receiver_recorder import CROWD, Recorder
from loadtest.bench.harness.receiver_socket_table import ReceiverSocket, Sockets, State, masked

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the receiver waits by epoll")

MARK = '{"type":"leaderboard-update","data":{"version":'


class Room:
    """Three open sockets of a receiver, and the servers' ends of them."""

    def __init__(self) -> None:
        self.sockets = Sockets()
        self.servers: list[socket.socket] = []
        for serial in range(3):
            ours, theirs = socket.socketpair()
            for one in (ours, theirs):
                one.setblocking(False)
            client = ReceiverSocket(serial, ours)
            self.sockets.add(client)
            self.sockets.expect_data(client)
            self.sockets.pending.clear()
            client.state = State.OPEN
            self.servers.append(theirs)

    def client(self, serial: int) -> ReceiverSocket:
        return self.sockets.by_serial[serial]

    def arrived(self) -> list[bytes]:
        """What each server has received since the last call."""
        return [_all_of(server) for server in self.servers]


def _all_of(server: socket.socket) -> bytes:
    try:
        return server.recv(65536)
    except BlockingIOError:
        return b""


@pytest.fixture
def room() -> Iterator[Room]:
    made = Room()
    yield made
    for client in made.sockets.numbered(0, 3):
        made.sockets.drop(client)
    for server in made.servers:
        server.close()


def test_players_take_turns(room) -> None:
    """A text goes out so often a second, each time on another socket, until it is stopped; closed ones miss theirs."""
    turns = Turns(room.sockets)
    turns.start("hi", 10.0, room.sockets.numbered(0, 3))
    began, frame = turns.due, masked(b"hi")
    turns.play(began + 0.25)  # three are due
    assert room.arrived() == [frame] * 3
    assert turns.due == pytest.approx(began + 0.3)
    room.sockets.end(room.client(1), 1000)
    turns.play(began + 0.55)
    assert [one for serial, one in enumerate(room.arrived()) if serial != 1] == [frame] * 2
    assert room.sockets.unsent == 0  # nothing was tried on the closed one
    turns.start("hi", 0.0, room.sockets.numbered(0, 3))
    assert turns.due == float("inf")


def test_a_text_names_the_socket_it_goes_out_on(room) -> None:
    """# stands for the serial."""
    for client in room.sockets.numbered(1, 3):
        room.sockets.say(client, "user-#")
    assert room.arrived() == [b"", masked(b"user-1"), masked(b"user-2")]


def test_an_end_is_counted_once_and_a_drop_is_not(room) -> None:
    """Both close the socket; only ends have a code."""
    ended, dropped = room.client(0), room.client(1)
    for code in (1006, 1000):
        room.sockets.end(ended, code)
    room.sockets.drop(dropped)
    room.sockets.end(dropped, 1000)
    assert (room.sockets.closes, list(room.sockets.by_serial)) == ({1006: 1}, [2])
    room.sockets.send(ended, masked(b"x"))
    assert room.sockets.unsent == 1


def frame(text: bytes) -> bytes:
    """A server's frame of a short text."""
    assert len(text) < 126
    return bytes((0x81, len(text))) + text


def test_only_the_chosen_sockets_are_recorded(room) -> None:
    """Boards on other sockets leave no trace; starting again forgets the boards before."""
    recorder = Recorder(room.sockets)
    recorder.expect(MARK, '"sentAt":')
    for first, version, expected in ((0, 7, 3), (1, 8, 2)):
        recorder.start(first, 3)
        for serial, server in enumerate(room.servers):
            server.send(frame(f'{MARK}{version},"sentAt":5.0,"x":1}}}}'.encode()))
            recorder.read(room.client(serial))
        figures = recorder.figures(0.0, 9e12)
        assert (figures["deliveries"], figures["boards"]) == (expected, 1)


def test_notices_of_one_tick_are_counted_together(room) -> None:
    """The most that a socket got at once; a board and the line about a crowd end the tick."""
    recorder = Recorder(room.sockets)
    recorder.expect(MARK, '"sentAt":')
    recorder.start(0, 3)
    notice, board = frame(b'{"type":"x"}'), frame(f'{MARK}1,"sentAt":5.0,"x":1}}}}'.encode())
    room.servers[0].send(notice * 2 + board + notice + frame(CROWD + b"}") + notice)
    recorder.read(room.client(0))
    assert recorder.figures(0.0, 9e12)["most_notices"] == 2


def test_a_server_that_goes_away_is_counted(room) -> None:
    """A close frame by its code, a connection that just ends as 1006."""
    recorder = Recorder(room.sockets)
    room.servers[0].send(b"\x88\x02" + (4408).to_bytes(2))
    room.servers[1].close()
    for serial in (0, 1):
        recorder.read(room.client(serial))
    assert room.sockets.closes == {4408: 1, 1006: 1}
