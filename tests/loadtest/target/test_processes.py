"""The launcher of the kit: commands, and Redis servers that can be stopped, started, killed and frozen."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from loadtest.target.processes import RedisServer, ServiceFailed, WatchedCommand

pytestmark = pytest.mark.starts_process

PATIENCE = 15.0
OWNER = """
import time
from loadtest.target.processes import RedisServer
server = RedisServer()
print(server.pid, flush=True)
time.sleep(1000)
"""
OWNER_OF_A_COMMAND = """
import time
from loadtest.target.processes import WatchedCommand
print(WatchedCommand("sleep", ["sleep", "1000"]).pid, flush=True)
time.sleep(1000)
"""
DEAF = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('deaf', flush=True); time.sleep(1000)"


def runs(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def client(server: RedisServer, timeout: float | None = None) -> redis.Redis:
    retry = Retry(NoBackoff(), 0)
    return redis.Redis.from_url(server.url, decode_responses=True, socket_timeout=timeout, retry=retry)


def swap(server: RedisServer, value: str) -> str | None:
    """Write a value; return the one before."""
    with client(server) as one:
        return one.set("a", value, get=True)


def test_a_server_of_each_kind_is_where_it_says(start_redis, redis_binary):
    """URL and pid are the server's own, it has no port, and it answers when the object is there."""
    server = start_redis(binary=redis_binary)
    assert server.url.startswith("unix:///")
    assert (server.port, server.password) == (0, "")
    with client(server) as one:
        assert one.info("server")["process_id"] == server.pid
    assert server.alive
    server.stop()
    assert not server.alive
    assert not runs(server.pid)


def test_a_stop_saves_or_not_and_a_start_finds_what_was_saved(start_redis, redis_binary, tmp_path):
    """At the same URL, in another process."""
    server = start_redis(tmp_path, binary=redis_binary)
    url, pid = server.url, server.pid
    swap(server, "saved")
    server.stop()
    server.start()
    assert (server.url, server.pid == pid) == (url, False)
    assert swap(server, "not saved") == "saved"
    server.stop(save=False)
    assert not runs(server.pid)
    server.start()
    assert swap(server, "not saved either") == "saved"
    server.kill()
    assert not server.alive
    server.start()
    assert swap(server, "") == "saved"


def test_without_a_folder_each_start_finds_nothing(start_redis):
    """However the server before it was ended."""
    server = start_redis()
    for end in (server.stop, server.kill, lambda: server.stop(save=False)):
        assert swap(server, "a") is None
        end()
        server.start()
    assert swap(server, "a") is None


def test_a_second_start_or_stop_does_nothing(start_redis):
    """What runs goes on running, what has ended stays so."""
    server = start_redis()
    pid = server.pid
    server.start()
    assert server.pid == pid
    for end in (server.stop, server.kill, lambda: server.stop(save=False), server.freeze, server.thaw):
        end()
        assert not server.alive


def test_a_frozen_server_answers_nobody_and_goes_on_when_thawed(start_redis, redis_binary):
    """Its connections stay: what was asked in between is answered then."""
    server = start_redis(binary=redis_binary)
    with client(server) as waiting, client(server, timeout=1.0) as hasty:
        waiting.ping()
        hasty.ping()
        server.freeze()
        assert server.alive
        with pytest.raises(redis.TimeoutError):
            hasty.ping()
        asked = waiting.connection_pool.get_connection()
        asked.send_command("PING")
        server.thaw()
        assert asked.read_response() == "PONG"
        waiting.connection_pool.release(asked)


@pytest.mark.parametrize("save", [True, False])
def test_a_frozen_server_can_be_stopped(start_redis, tmp_path, save):
    """With its data saved or not, as always."""
    server = start_redis(tmp_path)
    swap(server, "a")
    server.freeze()
    server.stop(save)
    assert not runs(server.pid)
    server.start()
    assert swap(server, "b") == ("a" if save else None)


def test_a_stopped_server_keeps_its_port_and_password(start_redis):
    """Nobody answers there, and nobody else gets it, so that it can come back."""
    if sys.platform != "linux":
        pytest.skip("NOT RUN: a port is only kept on Linux")
    server = start_redis(tcp=True)
    url = server.url
    assert url == f"redis://:{server.password}@127.0.0.1:{server.port}"
    server.stop()
    with socket.socket() as other, pytest.raises(ConnectionRefusedError):
        other.connect(("127.0.0.1", server.port))
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", server.port))
    server.start()
    assert server.url == url
    swap(server, "a")
    server.stop(save=False)
    assert not server.alive


def test_what_cannot_be_started_is_told():
    """In the words of the command."""
    with pytest.raises(ServiceFailed, match=r"status 2 .*\n.*expected a server, got its end with status 1"):
        RedisServer(binary="false")


@pytest.mark.parametrize("code", [OWNER, OWNER_OF_A_COMMAND], ids=["a server", "a command"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_owner_leaves_nothing(how, code):
    """The kernel closes the pipe, whatever happened to its other end."""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as owner:
        pid = int(owner.stdout.readline())
        assert runs(pid)
        owner.send_signal(how)
        owner.wait(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while runs(pid):
            assert time.monotonic() < deadline, "it still runs"
            time.sleep(0.01)


def test_a_command_says_lines_to_its_owner_and_logs_the_others():
    """Those that are heard come one by one, then its end does, with its status and its last words."""
    code = "print('a: 1'); print('b'); print('a: 2'); raise SystemExit('no more')"
    with WatchedCommand("it", [sys.executable, "-c", code], heard=lambda line: line.startswith("a")) as command:
        assert [command.hear(PATIENCE), command.hear(PATIENCE)] == ["a: 1", "a: 2"]
        for _ in range(2):
            with pytest.raises(
                ServiceFailed, match=r"it ended with status 1 before it answered:\n(b\nno more|no more\nb)"
            ):
                command.hear(PATIENCE)


def test_a_command_that_says_nothing_is_ended():
    """Whoever waits for its word is told so."""
    command = WatchedCommand("it", ["sleep", "1000"])
    with pytest.raises(ServiceFailed, match=r"it printed nothing within 0\.1 s and said nothing"):
        command.hear(0.1)
    assert not command.alive
    assert not runs(command.pid)


def test_a_command_is_ended_by_force_with_its_watcher():
    """At once where nobody wants to wait, although it ignores what interrupts it."""
    command = WatchedCommand("it", [sys.executable, "-c", DEAF], heard=lambda line: line == "deaf")
    command.hear(PATIENCE)
    assert command.stop(0) == -signal.SIGKILL
    deadline = time.monotonic() + PATIENCE
    while runs(command.pid):
        assert time.monotonic() < deadline, "it still runs"
        time.sleep(0.01)
