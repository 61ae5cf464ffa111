"""Receivers that others would write, to measure this load test's own cost against.

    python -m loadtest.bench.peers.rival_websocket_receivers PORT COUNT SESSION
    locust -f loadtest/bench/peers/rival_locust_socketio.py --headless …

Each opens so many connections and receives boards, and says twice a second on stdout, as a line of JSON, how many
connections are open (`open`), how many boards came (`boards`), and the CPU seconds of its process (`cpu`).
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

EVERY = 0.5  # seconds
CONNECTING = 16  # at once


def say(opened: int, boards: int) -> None:
    """Tell how far it is."""
    line = {"open": opened, "boards": boards, "cpu": time.process_time(), "at": time.monotonic()}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def watch(url: str, hello: str, count: int, start: Callable[[Callable[[], None]], Any]) -> None:
    """Receive on so many connections of the `websockets` library, each in a thread, or what stands for one."""
    from websockets.sync.client import connect  # noqa: PLC0415 - only now it is known what a thread is

    boards = [0] * count
    opened = [False] * count
    gate = threading.Semaphore(CONNECTING)

    def receive(number: int) -> None:
        with gate:
            socket = connect(url, compression=None, ping_interval=None, proxy=None)
            socket.send(hello)
        opened[number] = True
        for text in socket:
            boards[number] += text[9] == "l"  # {"type":"leaderboard-update"

    for number in range(count):
        start(partial(receive, number))
    while True:
        time.sleep(EVERY)
        say(sum(opened), sum(boards))


def main(port: str, count: str, session: str) -> None:
    """Receive until the end of this process, on gevent as in Locust; a thousand real threads do not even begin."""
    from gevent import monkey, spawn  # noqa: PLC0415 - first of all in the process

    monkey.patch_all()
    hello = json.dumps({"type": "watch-demo", "data": {"sessionId": session}})
    watch(f"ws://127.0.0.1:{port}/ws", hello, int(count), spawn)


if __name__ == "__main__":
    main(*sys.argv[1:])
