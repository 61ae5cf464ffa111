"""The receiving process: thousands of raw sockets, read as cheaply as Python can, for every server alike.

It reads commands from stdin, each a line of JSON, and answers each with one line on stdout;
`receiver_handle.ReceiverHandle` is the other end. It ends with its stdin, or after ten minutes without a command.

Two decisions make its figures fair. It does not wait for the sockets but looks at them every few milliseconds:
so no server pays for waking up a client on its own machine, which no client elsewhere would make it pay. And it
does not go by its own clock: the kernel stamps what arrives (SO_TIMESTAMPNS), so that when a board arrived does
not depend on when, or how fast, it was read here.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from loadtest.bench.harness.receiver_handshake import Handshakes, Target
from loadtest.bench.harness.receiver_recorder import Recorder
from loadtest.bench.harness.receiver_socket_table import ReceiverSocket, Sockets, State, masked
from loadtest.target.open_files import raise_file_limit

POLL_SECONDS: Final = 0.005
PATIENCE: Final = 600.0  # seconds without a command
CONNECT_SECONDS: Final = 60.0


class Turns:
    """Sends one text again and again, each time on another of some sockets."""

    def __init__(self, sockets: Sockets) -> None:
        self.due = float("inf")  # when the next one goes out, by the monotonic clock
        self._sockets = sockets
        self._players: list[ReceiverSocket] = []
        self._frame = b""
        self._period = 0.0
        self._turn = 0

    def start(self, text: str, hz: float, players: list[ReceiverSocket]) -> None:
        """From now on send the text `hz` times a second; 0 to stop."""
        self._players = players
        random.Random(1).shuffle(self._players)
        self._frame = masked(text.encode())
        self._period = 1 / hz if hz else 0.0
        self.due = time.monotonic() if hz else float("inf")

    def play(self, now: float) -> None:
        """Send what is due."""
        while self.due <= now:
            player = self._players[self._turn % len(self._players)]
            self._turn += 1
            if player.state is State.OPEN:
                self._sockets.send(player, self._frame)
            self.due += self._period


class Receiver:
    """The loop that looks at the sockets, and the commands about them."""

    def __init__(self) -> None:
        self._sockets = Sockets()
        self._recorder = Recorder(self._sockets)
        self._handshakes = Handshakes(self._sockets, self._recorder)
        self._turns = Turns(self._sockets)
        self._input = b""
        self._done = False
        self._answer_when: Callable[[], dict[str, Any] | None] | None = None

    # The loop

    def run(self) -> None:
        """Receive until stdin ends."""
        os.set_blocking(0, False)
        self._sockets.poll_also(0)
        heard = next_poll = time.monotonic()
        while not self._done:
            now = time.monotonic()
            if now >= self._turns.due:
                self._turns.play(now)
            due = min(next_poll, self._turns.due)
            if due > now and not self._sockets.pending:
                time.sleep(due - now)
                continue
            if self._poll():
                heard = now
            if self._handshakes.under_way:
                self._handshakes.connect_more()
            self._answer_when_known()
            next_poll = now + POLL_SECONDS
            if now - heard > PATIENCE:
                return

    def _poll(self) -> bool:
        """Deal with every descriptor that has something; return whether a command was among it."""
        heard = False
        sockets, read, opened = self._sockets, self._recorder.read, State.OPEN  # at hand for the hot path
        for fd, _ in sockets.poll(0.001 if sockets.pending else 0):
            if fd == 0:
                heard = True
                self._hear()
            elif (client := sockets.by_descriptor.get(fd)) is not None:
                if client.state is opened:
                    read(client)
                else:
                    self._handshakes.advance(client)
        return heard

    def _answer_when_known(self) -> None:
        """Answer the command that has been waiting for its answer, if it is known by now."""
        if self._answer_when is not None and (answer := self._answer_when()) is not None:
            self._answer_when = None
            self._say(answer)

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

    def do_target(self, *, hello: list[str], mark: str, since: str, **address: Any) -> dict[str, Any]:
        """Where to connect (the fields of `Target`), and what to expect there (`Recorder.expect`)."""
        self._handshakes.target = Target(**address, hello=tuple(hello))
        self._recorder.expect(mark, since)
        return {}

    def do_connect(self, count: int, in_flight: int = 32, *, wait: bool = True) -> dict[str, Any] | None:
        """Open sockets, so many of them at a time."""
        sockets, began = self._sockets, time.monotonic()
        raise_file_limit(len(sockets.by_serial) + count)
        self._handshakes.want(count, in_flight)

        def answer() -> dict[str, Any] | None:
            took = time.monotonic() - began
            if self._handshakes.under_way and took < CONNECT_SECONDS:
                return None
            return {"open": sum(one.state is State.OPEN for one in sockets.by_serial.values()), "seconds": took}

        if wait:
            self._answer_when = answer
            return None
        return {"next": self._handshakes.next_serial}

    def do_tell(self, texts: list[str], first: int, stop: int) -> dict[str, Any]:
        """Send these texts on these sockets."""
        for client in self._sockets.numbered(first, stop):
            for text in texts:
                self._sockets.say(client, text)
        return {"unsent": self._sockets.unsent}

    def do_play(self, text: str, hz: float, first: int, stop: int) -> dict[str, Any]:
        """From now on send this text so often a second, each time on another of these sockets; 0 to stop."""
        self._turns.start(text, hz, self._sockets.numbered(first, stop))
        return {}

    def do_record(self, first: int, stop: int) -> dict[str, Any]:
        """Forget what was recorded and from now on record what these sockets get."""
        self._recorder.start(first, stop)
        return {}

    def do_report(self, since: float, until: float) -> dict[str, Any]:
        """What was recorded between two times (Unix seconds)."""
        return self._recorder.figures(since, until) | {"unsent": self._sockets.unsent} | self.do_count()

    def do_count(self) -> dict[str, Any]:
        """How many sockets are open, and how the others ended."""
        sockets = self._sockets
        return {"open": len(sockets.by_serial), "pending": len(sockets.pending), "closes": dict(sockets.closes)}

    def do_stop_reading(self, first: int, stop: int) -> dict[str, Any]:
        """Read these sockets no more."""
        for client in self._sockets.numbered(first, stop):
            self._sockets.stop_reading(client)
        return {}

    def do_close(self, first: int, stop: int) -> dict[str, Any]:
        """End these sockets without a word, as a phone that is switched off does not even do."""
        for client in self._sockets.numbered(first, stop):
            self._sockets.drop(client)
        return {}


def main() -> None:
    """Receive until the process that started this one ends it."""
    Receiver().run()


if __name__ == "__main__":
    main()
