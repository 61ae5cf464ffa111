"""The metrics of this process, in Prometheus' format.

Each app has its own registry, so two apps in one process (tests) do not share counts.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.gc_collector import GCCollector


class Metrics:
    """The counts of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.connections = self._gauge("connections", "Open WebSockets")
        self.users = self._gauge("users", "Distinct users connected here")
        self.sessions = self._gauge("sessions", "Existing sessions")
        self.degraded = self._gauge("degraded", "1 while scores are kept in this process only")
        self.frames = self._counter("frames_received", "Frames received, by type", "type")
        self.updates = self._counter("updates_answered", "Score updates answered")
        self.errors = self._counter("errors_sent", "Errors sent, by code", "code")
        self.closes = self._counter("connections_closed", "WebSockets that ended, by close code", "code")
        self.boards = self._counter("boards", "Boards encoded for fan-out")
        self.deliveries = self._counter("deliveries", "Writes to sockets by fan-outs")
        self.passed_over = self._counter("passed_over", "Boards not written because a socket did not keep up")
        self.redis_queue = self._gauge("redis_queue", "Operations that Redis has not confirmed")
        self.redis_seen_seconds = self._gauge("redis_seen_seconds", "Seconds since Redis last answered")
        self.redis_batches = self._counter("redis_batches", "Batches of operations sent to Redis")
        self.redis_restores = self._counter("redis_restores", "Rows restored that Redis had lost")
        self.background_failures = self._counter("background_failures", "Errors in background tasks")
        self.fanout_seconds = Histogram(
            "leaderboard_fanout_seconds",
            "Time of one fan-out",
            buckets=(0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1),
            registry=self.registry,
        )

    def text(self) -> bytes:
        """The counts in Prometheus' text format."""
        return generate_latest(self.registry)

    def _gauge(self, name: str, help_text: str) -> Gauge:
        return Gauge(f"leaderboard_{name}", help_text, registry=self.registry)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"leaderboard_{name}", help_text, labels, registry=self.registry)
