from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from loadtest.transport.gevent_socket import ConnectFailed, Socket, connect

CERTIFICATE = Path(__file__).with_name("loopback.pem")
LARGE = "l" * 300_000  # more than one read takes


@contextlib.contextmanager
def server(handler: Callable[[ServerConnection], None], **options: object) -> Iterator[str]:
    """A server of the `websockets` library in a thread; gives its URL."""
    with serve(handler, "127.0.0.1", 0, compression=None, **options) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        host, port = running.socket.getsockname()
        try:
            yield f"{'wss' if 'ssl' in options else 'ws'}://{host}:{port}/ws"
        finally:
            running.shutdown()
            thread.join()


def silent(_peer: ServerConnection) -> None:
    """Say nothing and close."""


def deaf(peer: ServerConnection) -> None:
    """Say nothing until the client closes; a close frame may come with the answer to the upgrade."""
    for _ in peer:
        pass


class Client:
    """A socket and all it told."""

    def __init__(self, url: str, **options: bool) -> None:
        self.texts: list[str] = []
        self.lags: list[float] = []
        self.bounds: list[tuple[float, float]] = []  # (earliest, arrived) of each text
        self.sent: list[int] = []
        self.codes: list[int] = []
        self.socket: Socket = connect(url, self._text, self.codes.append, self.sent.append, timeout=5.0, **options)
        self.socket.start()

    def _text(self, data: bytearray, start: int, stop: int) -> None:
        self.texts.append(data[start:stop].decode())
        socket = self.socket
        self.lags.append(socket.read_at - socket.arrived_at)
        self.bounds.append((socket.earliest_at, socket.arrived_at))

    def wait(self, condition: Callable[[], bool]) -> None:
        ends = time.monotonic() + 5.0
        while not condition():
            assert time.monotonic() < ends, f"got {len(self.texts)} texts, codes {self.codes}"
            gevent.sleep(0.005)


@pytest.fixture(params=["ws", "wss"])
def security(request, monkeypatch) -> dict[str, object]:
    """The options of a server without and with TLS."""
    if request.param == "ws":
        return {}
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))  # whom clients trust
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return {"ssl": context}


def test_it_talks_with_another_library(security) -> None:
    """Texts of every size come and go whole, a ping is answered, a close ends with its code, once; with TLS, too."""
    ponged = threading.Event()

    def handler(peer: ServerConnection) -> None:
        for text in peer:
            if text == "ping":
                assert peer.ping().wait(5.0)
                ponged.set()
            elif text == "fragments":
                peer.send(iter(["one ", "two ", "three"]))
            elif text == "bye":
                peer.close(4429)
                return
            else:
                peer.send(text)

    with server(handler, **security) as url:
        client = Client(url)
        sent = ["", "a", "m" * 125, "m" * 126, "é" * 40_000, LARGE]
        for text in sent:
            client.socket.send(text.encode())
        client.wait(lambda: client.texts == sent)
        client.socket.send(b"ping")
        client.wait(ponged.is_set)
        client.socket.send(b"fragments")
        client.wait(lambda: client.texts[-1] == "one two three")
        client.socket.send(b"bye")
        client.wait(lambda: client.codes == [4429])
        assert not client.socket.open
        client.socket.send(b"nobody hears this")


def test_the_kernel_tells_when_a_message_was_there() -> None:
    """With stamps, a message that waited for a blocked process is known to have waited; without, it is not."""
    if not (probe := _stamps_here()):
        pytest.skip("NOT RUN: this platform stamps no received packets")
    assert probe

    answered = threading.Event()

    def handler(peer: ServerConnection) -> None:
        for text in peer:
            peer.send(text)
            answered.set()

    with server(handler) as url:
        for stamps in (True, False):
            client = Client(url, stamps=stamps)
            client.socket.send(b"first")
            client.wait(lambda client=client: len(client.texts) == 1)
            answered.clear()
            client.socket.send(b"second")
            # From here the client stands still, as a busy generator would.
            assert answered.wait(10)
            time.sleep(0.2)
            client.wait(lambda client=client: len(client.texts) == 2)
            assert (client.lags[1] > 0.1) == stamps
            client.socket.close()
            client.wait(lambda client=client: client.codes == [1000])


def test_messages_read_together_came_after_the_read_before() -> None:
    """Of two in one read the last has its stamp; the other may have come at any time since the socket was empty."""
    if not _stamps_here():
        pytest.skip("NOT RUN: this platform stamps no received packets")
    answered = threading.Event()

    def handler(peer: ServerConnection) -> None:
        for _ in peer:
            peer.send("one")
            time.sleep(0.05)  # what the bounds have to enclose
            peer.send("two")
            answered.set()

    with server(handler) as url:
        for stamps in (True, False):
            client = Client(url, stamps=stamps)
            client.socket.send(b"begin")
            client.wait(lambda client=client: len(client.texts) == 2)
            assert all(0 < earliest <= arrived for earliest, arrived in client.bounds[1:])
            answered.clear()
            emptied = time.time()
            client.socket.send(b"again")
            assert answered.wait(10)
            time.sleep(0.01)
            client.wait(lambda client=client: len(client.texts) == 4)
            (first_earliest, first), (last_earliest, last) = client.bounds[2:]
            assert first == last
            assert first_earliest <= emptied  # it came 50 ms before the other
            assert (last_earliest == last) is stamps
            client.socket.close()
            client.wait(lambda client=client: client.codes == [1000])


def test_nothing_is_known_of_a_read_that_may_have_filled_the_buffer() -> None:
    """Whoever reads more than half of what the kernel holds cannot tell how long that had waited at the server."""

    def echo(peer: ServerConnection) -> None:
        for text in peer:
            peer.send(text)

    with server(echo) as url:
        client = Client(url)

        def ask(text: bytes) -> float:
            """The earliest arrival of the answer."""
            known = len(client.texts)
            client.socket.send(text)
            client.wait(lambda: len(client.texts) > known)
            return client.bounds[-1][0]

        while not ask(b"small"):
            pass  # a machine that stands still for a second makes a read as late as that
        client.socket._half_full = 100
        assert ask(b"l" * 200) == 0


def test_a_message_is_sent_when_the_kernel_has_its_last_byte() -> None:
    """Small ones at once; one that is larger than the kernel's buffer, and all behind it, when they have drained."""
    drain = threading.Event()

    def handler(peer: ServerConnection) -> None:
        assert drain.wait(20)
        for _ in peer:
            pass

    with server(handler, max_size=None, max_queue=(0, 0)) as url:
        client = Client(url)
        client.socket.send(b"small", 7)
        assert client.sent == [7]
        huge = b"h" * 20_000_000
        client.socket.send(huge, 8)
        client.socket.send(b"behind", 9)
        client.socket.send(b"nobody asks")
        assert client.sent == [7]
        drain.set()
        client.wait(lambda: client.sent == [7, 8, 9])
        client.socket.abort()


def test_the_upgrade_takes_at_least_as_long_as_its_answer(security) -> None:
    """From sending it to the stamp of the answer; over TLS that is unknown."""

    def slow(_peer: ServerConnection, _request: object) -> None:
        time.sleep(0.05)  # the fault itself

    with server(deaf, process_request=slow, **security) as url:
        client = Client(url)
        client.socket.close()
        client.wait(lambda: bool(client.codes))
        if security or not client.socket.stamped:
            assert client.socket.upgrade_lower == 0
        else:
            assert 0.05 <= client.socket.upgrade_lower < 5


def _stamps_here() -> bool:
    with server(silent) as url:
        client = Client(url)
        client.wait(lambda: bool(client.codes))
        return client.socket.stamped


def test_a_refusal_is_told_with_its_status() -> None:
    """A server that answers the upgrade with an error is a failure with that status, not a hang."""
    with server(silent, process_request=lambda peer, _request: peer.respond(403, "no")) as url:
        with pytest.raises(ConnectFailed) as failed:
            Client(url)
        assert failed.value.status == 403


def test_a_certificate_that_nobody_vouches_for_is_refused(monkeypatch) -> None:
    """Over TLS a server is checked: without trust there is no connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with server(silent, ssl=context) as url, pytest.raises(ConnectFailed, match="certificate verify failed"):
        Client(url)


def test_a_reader_who_stops_is_seen_by_the_server() -> None:
    """A socket that stops reading fills up: the server's sends wait, however little there is to say."""
    waits = threading.Event()

    def handler(peer: ServerConnection) -> None:
        peer.recv()
        peer.socket.settimeout(0.3)
        try:
            for _ in range(1000):
                peer.send(LARGE)
        except (OSError, ConnectionClosed):
            waits.set()

    with server(handler) as url:
        client = Client(url)
        client.socket.stop_reading()
        client.socket.send(b"begin")
        assert waits.wait(20)
        client.socket.abort()
        client.socket.abort()  # which is no harm
        assert client.codes == []


def test_a_closed_port_is_told() -> None:
    """Where nobody listens, connecting fails with the address."""
    with server(silent) as url:
        pass
    with pytest.raises(ConnectFailed, match=url):
        Client(url)


def test_a_lost_connection_ends_with_1006() -> None:
    """A connection that ends without a close frame is told as 1006."""
    with server(lambda peer: peer.socket.shutdown(2)) as url:
        client = Client(url)
        client.wait(lambda: client.codes == [1006])
