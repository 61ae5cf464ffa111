"""Counts HTTP requests by method and status, and WebSockets that are refused because there is nothing at their path."""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from service.metrics import Metrics


class RequestMetricsMiddleware:
    """Counts every HTTP request; a WebSocket passes through it at no cost."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    # Not a coroutine: one more of them would be resumed with each frame of a WebSocket.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve the request."""
        app = self._count if scope["type"] == "http" else self._app
        return app(scope, receive, send)

    async def _count(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def send_noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_noting_status)
        except Exception:
            status = status or 500  # what the server says in place of an app that failed
            raise
        finally:
            if status:
                self._metrics.answered(scope["method"], status)


class UnknownPath:
    """Refuses WebSockets at every path that no route before this one serves."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def refuse(self, socket: WebSocket) -> None:
        """Answer the handshake with 403."""
        self._metrics.refused("path")
        await socket.close()
