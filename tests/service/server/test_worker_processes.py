"""Several workers behind one port, and one that restarts when the code changes."""

from __future__ import annotations

import contextlib
import time

import httpx
import psutil
from prometheus import offered, rules, selectors

from loadtest.target.processes import Service
from loadtest.target.prometheus_text import Samples


def test_a_reloading_service_serves(start_service):
    """`--reload` announces the URL and answers."""
    service = start_service("--reload")
    assert httpx.get(f"{service.url}/health", timeout=20, trust_env=False).status_code == 200


def test_workers_share_one_port_and_one_board(start_service):
    """Over a Redis of their own; all of it ends with the first process, however that ends."""
    service = start_service("--workers", "2", "--redis-url", "embedded")
    family = psutil.Process(service.pid)
    versions: set[tuple[str, int]] = set()
    wait_until_both_serve(service)
    httpx.post(f"{service.url}/api/demo/populate", trust_env=False)
    until = time.monotonic() + 10
    while len(versions) != 1 and time.monotonic() < until:
        boards = [httpx.get(f"{service.url}/api/leaderboard/DEMO123", trust_env=False).json() for _ in range(10)]
        versions = {(board["epoch"], board["version"]) for board in boards}
    assert versions == {(boards[0]["epoch"], 1)}
    pages = [httpx.get(f"{service.url}/metrics", trust_env=False).text for _ in range(10)]
    assert {workers_up(page) for page in pages} == {(("0", 1.0), ("1", 1.0))}, "whichever is asked"
    page = offered(pages[0])
    assert all(labels["worker"] == {"0", "1"} for labels in page.values())
    assert {name for expr in rules().values() for name, _ in selectors(expr)} <= page.keys()
    assert Samples.parse(pages[-1]).by("leaderboard_http_requests_total", "method")["POST"] == 1
    children = family.children(recursive=True)
    assert len(children) >= 4, "two workers, the embedded Redis and who watches it"
    family.kill()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


def wait_until_both_serve(service: Service) -> None:
    """Wait: where workers take long to start, the address is told before."""
    port, until = int(service.url.rsplit(":", 1)[1]), time.monotonic() + 30
    while len(listening := listening_at(port, workers_of(service.pid))) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    assert len(set(listening)) == len(listening) == 2


def listening_at(port: int, workers: list[int]) -> list[int]:
    """The process of each socket that listens at the port."""
    found = []
    for pid in workers:
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [
                pid
                for one in psutil.Process(pid).net_connections("tcp")
                if one.status == psutil.CONN_LISTEN and one.laddr.port == port
            ]
    return found


def test_a_worker_that_was_killed_is_replaced(start_service):
    """And the service goes on."""
    service = start_service("--workers", "2", "--redis-url", "embedded")
    wait_until_both_serve(service)
    httpx.post(f"{service.url}/api/demo/populate", trust_env=False)
    before = workers_of(service.pid)
    assert len(before) == 2
    psutil.Process(min(before)).kill()
    until = time.monotonic() + 10
    while len(workers_of(service.pid) - {min(before)}) < 2:
        assert time.monotonic() < until, "the worker was not replaced"
    assert httpx.get(f"{service.url}/health", trust_env=False).json()["storage"] == "redis"
    until = time.monotonic() + 60
    # The new one has the number of the one that was killed, whose figures nobody shows meanwhile.
    while (up := workers_up(httpx.get(f"{service.url}/metrics", trust_env=False).text)) != (("0", 1.0), ("1", 1.0)):
        assert time.monotonic() < until, up
        time.sleep(0.02)


def workers_up(page: str) -> tuple[tuple[str, float], ...]:
    """Each worker that the page knows of, and whether it answered."""
    return tuple(sorted(Samples.parse(page).by("leaderboard_worker_up", "worker").items()))


def workers_of(pid: int) -> set[int]:
    found = set()
    for child in psutil.Process(pid).children():
        with contextlib.suppress(psutil.Error):  # one that has just ended
            if "spawn_main" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found
