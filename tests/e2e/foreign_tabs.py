"""The story's tabs over `websocket-client`: another library, a thread per tab, nothing of the cockpit's client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import httpx
import websocket
from cockpit.story.script import Sight, TabRow, TabState

AGAIN_AFTER = 0.2  # seconds
# The library looks at its exceptions only where it is given a proxy.
WITHOUT_PROXY = {"http_proxy_host": "nowhere.invalid", "http_no_proxy": ["*"]}


class ForeignTab(Sight):
    """A client thread that reads, comes back after a fault and joins again; sending happens on the loop."""

    def __init__(self, name: str, url: str) -> None:
        super().__init__(name)
        self._url = url
        self._loop = asyncio.get_running_loop()
        self._closed = threading.Event()
        self._user: str | None = None
        self._socket: websocket.WebSocket | None = None
        self._known = TabState()  # the thread's; `seen` is the loop's
        self._thread = threading.Thread(target=self._read, name=name, daemon=True)
        self._thread.start()

    async def join(self, user: str) -> None:
        """Play as `user`."""
        self._user = user
        await asyncio.to_thread(self._send, "join-demo", userId=user, sessionId="DEMO123")

    async def score(self, points: int) -> None:
        """Add points, without an opId as the simplest client does."""
        await asyncio.to_thread(self._send, "update-score", points=points)

    async def drop(self) -> None:
        """Shut the TCP connection down without a close frame."""
        assert self._socket is not None
        # Not the library's own shutdown: that closes the descriptor under the reading thread, which then sleeps on.
        self._socket.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        if self._socket is not None:
            with contextlib.suppress(OSError, websocket.WebSocketException):
                self._socket.close(timeout=1)
        self._thread.join(5)
        assert not self._thread.is_alive()

    def _read(self) -> None:
        while not self._closed.is_set():
            self._show(connection="connecting")
            with contextlib.suppress(OSError, websocket.WebSocketException):
                self._socket = websocket.create_connection(self._url, timeout=10, **WITHOUT_PROXY)
                if self._user is None:
                    self._send("watch-demo")
                else:
                    self._send("join-demo", userId=self._user, sessionId="DEMO123")
                while text := self._socket.recv():
                    frame = json.loads(text)
                    self._take(frame["type"], frame["data"])
            if self._socket is not None:
                self._socket.shutdown()
            self._show(connection="waiting")
            self._closed.wait(AGAIN_AFTER)

    def _take(self, kind: str, data: dict[str, Any]) -> None:
        known = self._known
        if kind == "leaderboard-update":
            board = tuple(TabRow(entry["userId"], entry["rank"], entry["score"]) for entry in data["leaderboard"])
            self._show(board=board, connection="live", lives=known.lives + (known.connection != "live"))
        elif kind == "user-rank-update":
            own = None if data["rank"] is None else TabRow(data["userId"], data["rank"], data["score"])
            self._show(user=data["userId"], own=own)
        elif kind == "participant-joined":
            self._show(arrivals=(*known.arrivals, f"{data['username']} joined"))

    def _show(self, **changes: Any) -> None:
        self._known = replace(self._known, **changes)
        if not self._closed.is_set():
            self._loop.call_soon_threadsafe(self.see, self._known)

    def _send(self, kind: str, **data: object) -> None:
        assert self._socket is not None
        self._socket.send(json.dumps({"type": kind, "data": data}))


class ForeignTabs:
    """`async with ForeignTabs(url, ws_url) as tabs:` has three live clients that watch."""

    def __init__(self, url: str, ws_url: str) -> None:
        self.url = url
        self.all: tuple[ForeignTab, ...] = ()
        self._ws_url = ws_url

    async def __aenter__(self) -> Self:
        self.all = tuple(ForeignTab(f"tab {number}", self._ws_url) for number in (1, 2, 3))
        for tab in self.all:
            await tab.when(lambda seen: seen.connection == "live")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for tab in self.all:
            await asyncio.to_thread(tab.close)

    async def populate(self) -> None:
        """Ask for the demo data."""
        await asyncio.to_thread(self._post, "populate")

    async def reset(self) -> None:
        """Ask for an empty board."""
        await asyncio.to_thread(self._post, "reset")

    def _post(self, action: str) -> None:
        address = f"{self.url.rstrip('/')}/api/demo/{action}"
        assert httpx.post(address, timeout=5, trust_env=False).status_code == 200
