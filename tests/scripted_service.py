"""A server that speaks the service's messages and does what a test's script says."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from service.core.protocol import LeaderboardUpdate, ScoreAck, UserRankUpdate, encode

Message = dict[str, Any]
Script = Callable[[int, Message], str | int | None]  # (connection, message) → text, close code, or no answer

RANK = {"user_id": "u0", "score": 5, "rank": 1, "total_players": 1, "epoch": "e"}


class ScriptedService:
    """Stands for a service. `script` may answer a message; else it is answered as the service answers it.

    `received` are all messages, each with the number of its connection from 0, `closed` the close codes of clients.
    """

    def __init__(self, script: Script) -> None:
        self.url = ""
        self.received: list[tuple[int, Message]] = []
        self.closed: list[int] = []
        self._script = script
        self._peers: list[ServerConnection] = []
        self._version = 0

    @property
    def updates(self) -> list[tuple[int, int, str]]:
        """(connection, points, id) of each update that came."""
        return [
            (connection, message["data"]["points"], message["data"]["opId"])
            for connection, message in self.received
            if message["type"] == "update-score"
        ]

    def talk(self, peer: ServerConnection) -> None:
        """Serve one connection to its end."""
        connection = len(self._peers)
        self._peers.append(peer)
        with contextlib.suppress(ConnectionClosed):
            for text in peer:
                message = json.loads(text)
                self.received.append((connection, message))
                answer = self._script(connection, message)
                if isinstance(answer, int):
                    peer.close(answer)
                elif answer != "":
                    peer.send(answer or self._answer(message))
        self.closed.append(peer.close_code)

    def push_board(self) -> None:
        """Send a board on every connection, in their order."""
        for peer in self._peers:
            peer.send(self._answer({"type": "watch-demo"}))

    def _answer(self, message: Message) -> str:
        self._version += message["type"] == "update-score"
        match message["type"]:
            case "join-demo":
                return encode(UserRankUpdate(**RANK, version=self._version)).decode()
            case "watch-demo":
                return encode(
                    LeaderboardUpdate(
                        version=self._version, updates=0, epoch="e", sent_at=0.0, oldest_at=None, session_id="S",
                        leaderboard=(), total_players=0, total_participants=0, last_update=None, degraded=False,
                    )
                ).decode()  # fmt: skip
            case _:
                data = message["data"]
                ack = ScoreAck(**RANK, version=self._version, op_id=data["opId"], points=data["points"], durable=True)
                return encode(ack).decode()


@contextlib.contextmanager
def scripted_service(script: Script, **options: object) -> Iterator[ScriptedService]:
    """Run one on a free port, in a thread; `options` are those of `websockets`."""
    service = ScriptedService(script)
    with serve(service.talk, "127.0.0.1", 0, compression=None, **options) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        host, port = running.socket.getsockname()
        service.url = f"ws://{host}:{port}/ws"
        try:
            yield service
        finally:
            running.shutdown()
            thread.join()
