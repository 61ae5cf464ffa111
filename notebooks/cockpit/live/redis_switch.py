"""Stops and starts the Redis of a demo, and notes when."""

from __future__ import annotations

from collections.abc import Callable

from cockpit.host.processes import RedisProcess
from cockpit.live.outage_record import Outages


class RedisSwitch:
    """Stops and starts `redis`. The moments go into `outages`, in seconds of `now`; `changed` asks for a draw."""

    def __init__(
        self, redis: RedisProcess, outages: Outages, now: Callable[[], float], changed: Callable[[], None]
    ) -> None:
        self._redis = redis
        self._outages = outages
        self._now = now
        self._changed = changed

    @property
    def on(self) -> bool:
        """Whether Redis runs."""
        return self._redis.alive

    async def stop(self) -> None:
        """Shut Redis down, as SHUTDOWN does; the service keeps the scores."""
        self._outages.stop(self._now())
        self._changed()
        await self._redis.switch_off()
        self._changed()

    async def start(self) -> None:
        """Start Redis again, empty, at the same URL; raises `processes.ServiceFailed`."""
        self._outages.start(self._now())
        self._changed()
        await self._redis.switch_on()
        self._changed()

    async def toggle(self) -> None:
        """Stop Redis when it runs, start it when it does not."""
        await (self.stop() if self.on else self.start())
