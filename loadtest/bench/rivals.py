"""Receivers that others would write, to measure this load test's own cost against.

    python -m loadtest.bench.rivals threads|gevent PORT COUNT SESSION
    locust -f loadtest/bench/socketio_user.py --headless …

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
            socket = connect(url, compression=None, ping_interval=None)
            socket.send(hello)
        opened[number] = True
        for text in socket:
            boards[number] += text[9] == "l"  # {"type":"leaderboard-update"

    for number in range(count):
        start(partial(receive, number))
    while True:
        time.sleep(EVERY)
        say(sum(opened), sum(boards))


def main(way: str, port: str, count: str, session: str) -> None:
    """Receive as told, until the end of this process."""
    if way == "gevent":
        from gevent import monkey, spawn  # noqa: PLC0415

        monkey.patch_all()
        start: Callable[[Callable[[], None]], Any] = spawn
    else:
        threading.stack_size(256 * 1024)

        def start(run: Callable[[], None]) -> Any:
            threading.Thread(target=run, daemon=True).start()

    hello = json.dumps({"type": "watch-demo", "data": {"sessionId": session}})
    watch(f"ws://127.0.0.1:{port}/ws", hello, int(count), start)


if __name__ == "__main__":
    main(*sys.argv[1:])
