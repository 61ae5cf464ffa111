"""The metrics of this process, in Prometheus' format.

Each app has its own registry, so two apps in one process (tests) do not share counts. The value of a label is one of
a fixed set: whatever a client sends, it cannot add a series.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from service.core.errors import CloseCode, ErrorCode
from service.core.protocol import CLIENT_MESSAGES

STATE_KEY: Final = "leaderboard.metrics"  # of the app's metrics in its lifespan state, for the server below it
OTHER: Final = "other"
ClosedBy = Literal["client", "server"]
# The service's own codes, and those of RFC 6455: protocol error, no code, no close frame, no answer to a ping.
CLOSE_CODES: Final = frozenset({*map(int, CloseCode), 1002, 1005, 1006, 1011})
REFUSALS: Final = ("host", "origin", "path", "malformed", OTHER)  # of a WebSocket's handshake
FRAMES: Final = (*CLIENT_MESSAGES, "binary")
METHODS: Final = ("GET", "HEAD", "POST", "OPTIONS", OTHER)
STATUSES: Final = frozenset({
    200, 204, 206, 304, 307, 400, 401, 403, 404, 405, 408, 413, 414, 416, 422, 429, 431, 500, 503,
})  # fmt: skip

FANOUT_BUCKETS: Final = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1)  # seconds
BOARD_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1, 2.5, 5)
LAG_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class _Makers:
    """Makes the metrics of one registry, by their names without the prefix."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(f"leaderboard_{name}", help_text, labels, registry=self._registry)

    def counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"leaderboard_{name}", help_text, labels, registry=self._registry)

    def histogram(self, name: str, help_text: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(f"leaderboard_{name}", help_text, buckets=buckets, registry=self._registry)


class FanoutMetrics:
    """Boards on their way to the sockets; counted once for a fan-out, not for each socket."""

    def __init__(self, make: _Makers) -> None:
        self.boards = make.counter("boards", "Boards encoded for fan-out")
        self.deliveries = make.counter("deliveries", "Writes to sockets by fan-outs")
        self.passed_over = make.counter("passed_over", "Boards not written because a socket did not keep up")
        self.seconds = make.histogram("fanout_seconds", "Time of one fan-out", FANOUT_BUCKETS)
        self.update_to_board_seconds = make.histogram(
            "update_to_board_seconds", "Age of a board's oldest update once the board was sent", BOARD_BUCKETS
        )


class RedisMetrics:
    """The link to Redis, and what waits for it."""

    def __init__(self, make: _Makers) -> None:
        self.queue = make.gauge("redis_queue", "Operations that Redis has not confirmed")
        self.seen_seconds = make.gauge("redis_seen_seconds", "Seconds since Redis last answered")
        self.link_state = make.gauge("redis_link_state", "1 for the state that the link to Redis is in", "state")
        self.batches = make.counter("redis_batches", "Batches of operations sent to Redis")
        self.restores = make.counter("redis_restores", "Rows restored that Redis had lost")


class Metrics:
    """The counts of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        make = _Makers(self._registry)
        self.connections = make.gauge("connections", "Open WebSockets")
        self.users = make.gauge("users", "Distinct users connected here")
        self.sessions = make.gauge("sessions", "Existing sessions")
        self.degraded = make.gauge("degraded", "1 while scores are kept in this process only")
        self.frames = make.counter("frames_received", "Frames received, by type", "type")
        self.updates = make.counter("updates_answered", "Answers to score updates")
        self.errors = make.counter("errors_sent", "Errors sent, by code", "code")
        self.background_failures = make.counter("background_failures", "Errors in background tasks")
        self.loop_lag_seconds = make.histogram(
            "loop_lag_seconds", "How much later than asked for the event loop calls back", LAG_BUCKETS
        )
        self.fanout = FanoutMetrics(make)
        self.redis = RedisMetrics(make)
        self._closes = make.counter("connections_closed", "WebSockets that ended", "closed_by", "code")
        self._refused = make.counter("handshakes_refused", "WebSockets refused before they opened", "reason")
        self._requests = make.counter("http_requests", "HTTP requests answered", "method", "code")
        self._begin_at_zero()

    def closed(self, closed_by: ClosedBy, code: int) -> None:
        """Count a WebSocket that ended."""
        self._closes.labels(closed_by, code if code in CLOSE_CODES else OTHER).inc()

    def refused(self, reason: str) -> None:
        """Count a handshake that was refused for one of `REFUSALS`."""
        self._refused.labels(reason if reason in REFUSALS else OTHER).inc()

    def answered(self, method: str, status: int) -> None:
        """Count an HTTP request."""
        known = method if method in METHODS else OTHER
        self._requests.labels(known, status if status in STATUSES else OTHER).inc()

    def page(self, worker: str | None = None) -> bytes:
        """The counts in Prometheus' text format, with the label `worker` if a worker is named."""
        return generate_latest(_WithWorker(self._registry, {} if worker is None else {"worker": worker}))

    def _begin_at_zero(self) -> None:
        """Show each series whose growth somebody may be alerted to before it grows: its first count is seen, too."""
        for error in ErrorCode:
            self.errors.labels(error)
        for code in (*sorted(CLOSE_CODES), OTHER):
            for closed_by in ("client", "server"):
                self._closes.labels(closed_by, code)
        for reason in REFUSALS:
            self._refused.labels(reason)
        for method in METHODS:
            self._requests.labels(method, 500)
        for kind in FRAMES:
            self.frames.labels(kind)


class _WithWorker(Collector):
    """What a registry collects, with further labels, and without the time at which each series began."""

    def __init__(self, registry: CollectorRegistry, labels: dict[str, str]) -> None:
        self._registry = registry
        self._labels = labels

    def collect(self) -> Iterable[Metric]:
        for metric in self._registry.collect():
            metric.samples = [
                sample._replace(labels=sample.labels | self._labels)
                for sample in metric.samples
                if not sample.name.endswith("_created")
            ]
            yield metric


def merged(pages: Iterable[bytes]) -> bytes:
    """One page of several: all samples of a metric are under its one heading, as the format demands."""
    found: dict[bytes, list[bytes]] = {}
    for page in pages:
        for metric in page.split(b"# HELP ")[1:]:
            help_text, kind, samples = metric.split(b"\n", 2)
            found.setdefault(b"# HELP %s\n%s\n" % (help_text, kind), []).append(samples)
    return b"".join(heading + b"".join(samples) for heading, samples in found.items())
