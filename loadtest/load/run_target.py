"""The services that the players of a run are sent to: those it names, or one that is started for it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from loadtest import access
from loadtest.load.locust_launcher import on_cores
from loadtest.plan.run_spec import RunSpec, service_options
from loadtest.report.console import say
from loadtest.target import http_api
from loadtest.target.processes import Service
from loadtest.target.proxies import proxy_for


@dataclass(frozen=True, slots=True)
class Target:
    """Where a swarm is sent."""

    urls: tuple[str, ...]
    pid: int = 0  # of the service, 0 where it is not known
    cores: frozenset[int] = frozenset()  # for the generators; empty: any

    def named_in(self, spec: RunSpec) -> RunSpec:
        """The spec, sent to this target."""
        return replace(spec, urls=self.urls, service_pid=self.pid or spec.service_pid)


@contextlib.contextmanager
def target_for(spec: RunSpec) -> Iterator[Target]:
    """The services that the spec names, or one that runs while this lasts.

    Raises ValueError and `http_api.Unreachable` for a URL without a leaderboard, `ServiceFailed`.
    """
    if spec.urls:
        for url in spec.urls:
            http_api.identify(url)
            if proxy := proxy_for(url):
                proxied = f"{access.shown(url)} answers through the proxy {access.shown(proxy)}"
                say(f"{proxied}; the players connect without it")
        yield Target(spec.urls)
        return
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    apart = len(cores) >= 2
    with contextlib.ExitStack() as stack:
        # A process inherits the cores it may use: the service gets the first one, the generators the others.
        with on_cores(frozenset(cores[:1]) if apart else frozenset()):
            service = stack.enter_context(Service(service_options(spec)))
        say(f"started a service at {service.url}")
        yield Target((service.url,), service.pid, frozenset(cores[1:]) if apart else frozenset())
