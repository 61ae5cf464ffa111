"""The composition root: settings in, a wired app out. The only place where the parts meet."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from service import __version__
from service.core.local_addresses import folder_of
from service.core.session import SessionRules
from service.http.admin_permission import Admin
from service.http.host_and_origin import AccessMiddleware, AccessRules
from service.http.path_prefix import PathPrefixMiddleware, TrustedProxies
from service.http.request_metrics import RequestMetricsMiddleware
from service.http.routes import add_routes
from service.metrics import STATE_KEY, Metrics
from service.realtime.connection import Connections, Limits
from service.realtime.hub import Hubs
from service.server.gc_freeze import GcFreezer
from service.server.log_limits import limited_lines
from service.server.loop_lag import LoopLag
from service.server.metrics_exchange import MetricsExchange
from service.server.paced_accept import warn_without_bounds
from service.server.stop_signals import Draining, stop_with_parent
from service.settings import SHORT_TOKEN, BadSetting, Settings
from service.stores.base import Store
from service.stores.memory import MemoryStore

SWEEP_SECONDS = 1.0
log = logging.getLogger("leaderboard")


def create_store(settings: Settings, metrics: Metrics) -> Store:
    """The store that the settings name."""
    options: dict[str, Any] = {
        "rules": SessionRules(settings.ranking, settings.max_players),
        "max_sessions": settings.max_sessions,
        "session_ttl": settings.session_ttl,
    }
    if settings.redis_url is None:
        return MemoryStore(epoch=secrets.token_hex(4), **options)
    # The client is loaded where there is a Redis: it is a tenth of what a service loads.
    from service.stores.redis import EmbeddedRedisStore, RedisStore  # noqa: PLC0415

    folder = folder_of(settings.redis_url)
    if folder is None:
        return RedisStore(settings.redis_url, metrics=metrics, **options)
    return EmbeddedRedisStore(folder, metrics=metrics, **options)


def create_app(settings: Settings, *, processes: int = 1) -> FastAPI:
    """The leaderboard as an ASGI app, which so many processes serve. Raises `BadSetting`."""
    metrics = Metrics()
    store = create_store(settings, metrics)
    processes = max(processes, settings.workers)
    if processes > 1 and not store.shared:
        raise BadSetting(
            f"--workers: expected 1, or --redis-url (REDIS_URL) as well with a Redis that they share, "
            f"got {processes}, which would show {processes} boards"
        )
    hubs = Hubs(store=store, metrics=metrics, tick=settings.tick_ms / 1000, top=settings.top)
    connections = Connections(
        store=store,
        hubs=hubs,
        metrics=metrics,
        limits=Limits(
            rate=settings.rate,
            burst=settings.burst,
            max_points=settings.max_points,
            session_rate=settings.session_rate,
            address_session_rate=settings.address_session_rate,
            locked_players=settings.locked_players,
        ),
        max_connections=settings.max_connections,
    )
    rules = AccessRules(allowed_hosts=settings.allowed_host, allowed_origins=settings.allowed_origin)
    admin = Admin(settings.admin_token, settings.open_admin, rules.allow_other_names)
    draining = Draining()
    exchange = MetricsExchange(metrics.page, workers=processes)
    lag = LoopLag(metrics.loop_lag_seconds.observe)
    metrics.sessions.set_function(lambda: len(store.sessions))
    metrics.degraded.set_function(lambda: store.degraded)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, Metrics]]:
        _warn_of_setup(settings, admin, store)
        await store.start()
        stop_with_parent()
        lag.start()
        await exchange.start()
        draining.on_signal(settings.drain_seconds)
        heap = GcFreezer()
        heap.begin()
        sweeper = asyncio.create_task(_sweep(store, connections, heap, metrics), name="sweeper")
        try:
            yield {STATE_KEY: metrics}  # for the server's protocol class
        finally:
            sweeper.cancel()
            await asyncio.wait({sweeper})
            lag.stop()
            await exchange.stop()
            await store.stop()

    @asynccontextmanager
    async def limited_lifespan(app: FastAPI) -> AsyncIterator[dict[str, Metrics]]:
        with limited_lines():
            async with lifespan(app) as state:
                yield state

    app = FastAPI(
        title="Elsa Real-Time Leaderboard",
        version=__version__,
        description="Players join a quiz session and score; everyone sees the board move. "
        "[The page](./) · the WebSocket `/ws` is described by [asyncapi.json](asyncapi.json).",
        lifespan=limited_lifespan,
        servers=[{"url": "./"}],  # beside the document, so under its prefix
        root_path_in_servers=False,
        docs_url=None,
        redoc_url=None,
    )
    # The bundled Swagger UI reads OpenAPI 3.0.
    app.openapi_version = "3.0.3"
    add_routes(
        app,
        store=store,
        connections=connections,
        metrics=metrics,
        metrics_page=exchange.page,
        admin=admin,
        top=settings.top,
        draining=draining,
    )
    app.add_middleware(
        PathPrefixMiddleware, prefix=settings.root_path, proxies=TrustedProxies(settings.trusted_proxies)
    )
    app.add_middleware(
        AccessMiddleware,
        rules=rules,
        metrics=metrics,
        prefix=settings.root_path,
    )
    app.add_middleware(RequestMetricsMiddleware, metrics=metrics)
    return app


def _warn_of_setup(settings: Settings, admin: Admin, store: Store) -> None:
    """Log how the service is set up, where that may not be what was meant."""
    warn_without_bounds()
    for name, meant in settings.unknown_variables().items():
        hint = f"; is {meant} meant?" if meant else ""
        log.warning(
            "%s is set in the environment but is not a setting%s", name, hint, extra={"event": "unknown-setting"}
        )
    token = settings.admin_token
    if token is not None and len(token) < SHORT_TOKEN:
        log.warning(
            "the admin token is easy to guess: expected %d characters or more, got fewer",
            SHORT_TOKEN,
            extra={"event": "weak-token"},
        )
    if admin.is_closed:
        log.warning(
            "Populate and Reset are refused to everybody: with --allowed-host or --allowed-origin for others, "
            "expected --admin-token-file (or --open-admin) as well, got neither",
            extra={"event": "no-token"},
        )
    if store.storage == "memory":
        log.info(
            "no Redis is configured: scores are kept in memory and end with this process",
            extra={"event": "no-redis"},
        )


async def _sweep(store: Store, connections: Connections, heap: GcFreezer, metrics: Metrics) -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        try:
            store.sweep(time.time())
            heap.freeze_new(opened=connections.opened, open_now=len(connections))
        except Exception:
            log.exception("sweeping failed", extra={"event": "sweep-failed"})
            metrics.background_failures.inc()
