"""Every route of the app: the groups of HTTP calls, the WebSocket, the page and the documents."""

from __future__ import annotations

from fastapi import FastAPI

from service.http import qr_code
from service.http.admin_permission import Admin
from service.http.api_docs import add_docs
from service.http.demo_data import DemoRoutes
from service.http.host import HostRoutes
from service.http.leaderboard import LeaderboardRoutes
from service.http.monitoring import MetricsPage, MonitoringRoutes
from service.http.page import add_page
from service.http.request_metrics import UnknownPath
from service.metrics import Metrics
from service.realtime.connection import Connections
from service.server.stop_signals import Draining
from service.stores.base import Store


def add_routes(
    app: FastAPI,
    *,
    store: Store,
    connections: Connections,
    metrics: Metrics,
    metrics_page: MetricsPage,
    admin: Admin,
    top: int,
    draining: Draining,
) -> None:
    """Add the routes to the app, over its parts; `top` is the rows of a board in an answer."""
    app.include_router(LeaderboardRoutes(store).router())
    app.include_router(DemoRoutes(store, admin, top).router())
    app.include_router(HostRoutes(store, admin, top).router())
    app.include_router(qr_code.router())
    app.include_router(MonitoringRoutes(store, connections, metrics_page, draining).router())
    app.add_api_websocket_route("/ws", connections.serve)
    app.add_api_websocket_route("/{path:path}", UnknownPath(metrics).refuse)
    add_docs(app)
    add_page(app)
