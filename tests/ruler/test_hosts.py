"""Generators on two hosts: exact totals, and a host that is lost is told. The recipe is that of docs/measuring.md."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from network_namespaces import Host, TwoHosts

from loadtest.load.locust_launcher import environment
from loadtest.report.run_file import read
from loadtest.target.processes import Service

pytestmark = pytest.mark.starts_process
REPOSITORY = Path(__file__).parents[2]
TOLD_WITHIN = 10.0  # seconds


@pytest.fixture
def hosts() -> Iterator[list[Host]]:
    with TwoHosts() as two:
        yield two.hosts


@pytest.fixture
def remote_service(hosts: list[Host]) -> Iterator[Service]:
    """A service on the first host, for all hosts."""
    with Service(("--host", hosts[0].address, "--admin-token", "of this test only"), prefix=hosts[0].within) as service:
        yield service


class Generators:
    """A leader on the first host and a worker on each, as the recipe starts them."""

    def __init__(self, hosts: list[Host], service: Service, out: Path, duration: int) -> None:
        self._hosts = hosts
        self._master = (
            "--headless", "--master", "--expect-workers", "2", "--host", service.url, "--users", "40",
            "--spawn-rate", "40", "--rate", "40", "--warm-up", "1", "--measure", str(duration),
            "--service-pid", str(service.pid), "--out", str(out),
        )  # fmt: skip
        self.processes: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> Self:
        near, far = self._hosts
        worker = ("--worker", "--master-host", near.address)
        for host, arguments in ((near, self._master), (near, worker), (far, worker)):
            self.processes.append(await self._start(host, arguments))
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self.processes:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            await process.communicate()

    async def _start(self, host: Host, arguments: tuple[str, ...]) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *host.within, sys.executable, "-m", "locust", "-f", "loadtest/locustfile.py", *arguments,
            cwd=REPOSITORY, env={**environment(), "PYTHONUNBUFFERED": "1"}, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def says(self, what: str, within: float = 60.0) -> str:
        """The leader's line that has this."""
        (leader, *_) = self.processes
        assert leader.stderr is not None
        heard = ""
        async with asyncio.timeout(within):
            while line := (await leader.stderr.readline()).decode():
                heard += line
                if what in line:
                    return line
        raise AssertionError(f"the leader ended without {what!r}:\n{heard}")

    async def status(self) -> int:
        """The leader's exit status."""
        async with asyncio.timeout(60):
            await self.processes[0].communicate()
        status = self.processes[0].returncode
        assert status is not None
        return status


async def test_two_hosts_measure_exactly(hosts, remote_service, tmp_path, found) -> None:
    """Each worker's pairs are its own updates at its own receivers; who waited for a CPU is known where the pid is."""
    out = tmp_path / "run.jsonl"
    async with Generators(hosts, remote_service, out, 5) as generators:
        assert await generators.status() == 0
    result = read(out)[-1]
    shares = result["totals"]["shares"].values()
    assert [(one["receivers"], one["pairs"]) for one in shares] == [(20, 20 * one["updates"]) for one in shares]
    assert result["metrics"]["reach"] == 1
    found(f"two hosts: {result['metrics']['pairs']} pairs, {result['verdict']}")


async def test_a_lost_host_is_told_and_ends_the_run(hosts, remote_service, tmp_path, found) -> None:
    """Its worker is killed: within ten seconds the leader says so, and soon it ends without a verdict for the rest."""
    out = tmp_path / "run.jsonl"
    async with Generators(hosts, remote_service, out, 300) as generators:
        await generators.says("measure")
        far = generators.processes[2]
        os.kill(far.pid, signal.SIGKILL)  # `ip netns exec` becomes the program
        lost = time.monotonic()
        line = await generators.says("is not heard of any more", TOLD_WITHIN)
        told = time.monotonic() - lost
        assert await generators.status() == 4
        ended = time.monotonic() - lost
    lines = read(out)
    marks = [one["text"] for one in lines if one["kind"] == "mark"]
    assert len(marks) == 1
    assert marks[0] in {f"generator {number} is not heard of any more" for number in (0, 1)}
    assert "a generator was lost" in " ".join(lines[-1]["reasons"])
    found(f"a lost host: told after {told:.1f} s ({line.strip()}), ended after {ended:.1f} s")
