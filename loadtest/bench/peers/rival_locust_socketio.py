"""Locust's own Socket.IO user, as its documentation has it, receiving boards (see `rival_websocket_receivers`)."""

from __future__ import annotations

from typing import Any

import gevent
from locust import events, task
from locust.contrib.socketio import SocketIOUser

from loadtest.bench.peers.rival_websocket_receivers import EVERY, say

_hooks: Any = events  # Locust's hooks carry no types


class Watcher(SocketIOUser):
    """Connects and receives; Locust's user tells its statistics of each message."""

    def on_start(self) -> None:
        """Connect."""
        client: Any = self.sio  # its methods carry no types
        client.connect(self.host, transports=["websocket"])

    @task
    def stay(self) -> None:
        """Nothing: messages come by themselves."""
        while True:
            gevent.sleep(3600)


def _report(environment: Any, **_: Any) -> None:
    def run() -> None:
        while True:
            gevent.sleep(EVERY)
            stats = environment.stats
            say(stats.get("connect", "WS").num_requests, stats.get("leaderboard-update", "WSR").num_requests)

    gevent.spawn(run)


_hooks.init.add_listener(_report)
