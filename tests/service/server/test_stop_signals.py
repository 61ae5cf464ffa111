"""How the service ends."""

from __future__ import annotations

import time

import httpx


def test_closing_stdin_ends_the_service(start_service):
    """So a parent that dies takes it along."""
    service = start_service()
    assert service.stop() == 0


def test_draining_goes_on_serving_and_says_so(start_service):
    """/ready turns 503 at once; the service ends when the time is over."""
    service = start_service("--drain-seconds", "2")
    began = time.monotonic()
    service.process.terminate()
    while httpx.get(f"{service.url}/ready", trust_env=False).status_code != 503:
        pass  # it ends with the service, if draining is not told
    assert httpx.get(f"{service.url}/health", trust_env=False).status_code == 200
    service.process.wait(10)
    assert time.monotonic() - began >= 2
