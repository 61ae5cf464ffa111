"""What an operator or a load balancer asks: health, readiness, and metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import Field

from service import __version__
from service.http.camel_case import CamelCaseModel
from service.realtime.connection import Connections
from service.server.stop_signals import Draining
from service.stores.base import Storage, Store

MetricsPage = Callable[[], Awaitable[bytes]]


class Health(CamelCaseModel):
    """How the answering process is."""

    status: Literal["healthy", "degraded"]
    storage: Storage
    timestamp: datetime
    connected_users: int
    active_connections: int
    version: str = Field(description="the package's version")


class MonitoringRoutes:
    """`/health` and `/ready` of this process, and `/metrics` of all workers."""

    def __init__(self, store: Store, connections: Connections, metrics_page: MetricsPage, draining: Draining) -> None:
        self._store = store
        self._connections = connections
        self._metrics_page = metrics_page
        self._draining = draining

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter()
        router.add_api_route("/health", self.health)
        router.add_api_route("/ready", self.ready, responses={503: {"description": "Starting or draining"}})
        router.add_api_route("/metrics", self.metrics, response_class=Response)
        return router

    async def health(self) -> Health:
        """How this process is; it answers as long as it can serve."""
        return Health(
            status="degraded" if self._store.degraded else "healthy",
            storage=self._store.storage,
            timestamp=datetime.now(UTC),
            connected_users=self._connections.users,
            active_connections=len(self._connections),
            version=__version__,
        )

    async def ready(self, response: Response) -> dict[str, str]:
        """Whether to send players here."""
        if self._draining.begun or not self._store.ready:
            response.status_code = 503
            return {"status": "draining" if self._draining.begun else "starting"}
        return {"status": "ready"}

    async def metrics(self) -> Response:
        """The counts of all workers, as Prometheus reads them."""
        return Response(await self._metrics_page(), media_type=CONTENT_TYPE_LATEST)
