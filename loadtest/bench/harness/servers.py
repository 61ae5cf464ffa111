"""Who takes part: this service and the programs of `loadtest.bench.peers`, started and stopped in one way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from loadtest import access
from loadtest.bench import peers
from loadtest.bench.harness import cores_and_usage
from loadtest.bench.harness.cores_and_usage import Gauge, on_core
from loadtest.bench.harness.receiver_handle import ReceiverHandle
from loadtest.bench.peers import nginx_nchan
from loadtest.target.processes import Child, Service
from service.core.protocol import Entry, LeaderboardUpdate, ScoreChange, encode

PEERS = Path(peers.__file__).parent
NODE_PACKAGES = ("ws@8", "socket.io@4")
START_SECONDS, STOP_SECONDS = 20.0, 2.0
MARK = '{"type":"leaderboard-update","data":{"version":'
SOCKETIO_MARK = '42["leaderboard-update",{"version":'
SOCKETIO_PATH = "/socket.io/?EIO=4&transport=websocket"


class NotHere(Exception):
    """A contestant cannot run on this machine; the text says what is missing."""


class RunningServer(Protocol):
    """A contestant that runs."""

    gauge: Gauge
    target: dict[str, Any]  # for the audience: where and how to connect

    def begin(self, audience: ReceiverHandle, rows: int, hz: float, clients: int) -> None:
        """From now on a board of so many rows goes to everyone, so often a second."""

    def rest(self, audience: ReceiverHandle) -> None:
        """Send nothing."""

    def stop(self) -> None:
        """End the program."""


def board(rows: int) -> dict[str, Any]:
    """The board that everyone sends: the service's own message, of so many rows."""
    entries = tuple(
        Entry(
            rank=row + 1,
            user_id=f"player-{row:02}",
            username=f"Player {row:02}",
            avatar="🦊",
            color="#e69f00",
            score=1_000_000 - 1000 * row,
            is_connected=row == 0,
        )
        for row in range(rows)
    )
    change = ScoreChange(
        user_id="player-00", username="Player 00", points_earned=1, new_score=1_000_000, old_rank=1, new_rank=1
    )
    message = LeaderboardUpdate(
        version=1000,
        updates=1,
        epoch="0123abcd.1",
        sent_at=1_700_000_000_000.123,
        oldest_at=1_700_000_000_000.123,
        session_id=f"bench-{rows}",
        leaderboard=entries,
        total_players=rows,
        total_participants=1,
        last_update=change,
        degraded=False,
    )
    data: dict[str, Any] = json.loads(encode(message))["data"]
    return data


def rows_for(size: int) -> int:
    """How many rows make a board nearest to so many bytes; one at least."""
    sizes = {rows: len(json.dumps(board(rows), separators=(",", ":"), ensure_ascii=False).encode()) for rows in (1, 2)}
    row = sizes[2] - sizes[1]
    return max(1, 1 + round((size - len('{"type":"leaderboard-update","data":}') - sizes[1]) / row))


def _announced(line: str) -> tuple[int, int | None] | None:
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return (said["port"], said.get("pid")) if isinstance(said, dict) and "port" in said else None


class Program(Child):
    """A program of `loadtest.bench.peers`, or any other that says its port in a line of its own.

    Raises `ServiceFailed` when it does not.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        core: int,
        target: Mapping[str, Any],
        environment: Mapping[str, str] | None = None,
        read_port: Callable[[str], tuple[int, int | None] | None] = _announced,
    ) -> None:
        super().__init__(" ".join(command))
        self._launch(
            [*on_core(core), *command],
            heard=lambda line: read_port(line) is not None,
            environment=environment,
            together=True,
        )
        found = read_port(self.hear(START_SECONDS))
        assert found is not None
        port, pid = found
        self.target: dict[str, Any] = {"port": port, **target}
        self.gauge = Gauge(pid or self.process.pid)

    def begin(self, audience: ReceiverHandle, rows: int, hz: float, clients: int) -> None:
        self._order({"hz": hz, "board": board(rows)})

    def rest(self, audience: ReceiverHandle) -> None:
        self._order({"hz": 0, "board": {}})

    def stop(self) -> None:
        self._end(STOP_SECONDS)

    def _order(self, order: dict[str, Any]) -> None:
        self._tell(json.dumps(order))


class Ours:
    """This service, whole: socket 0 plays, the others watch, and every board comes from a score of socket 0."""

    def __init__(self, core: int, *arguments: str, prefix: Sequence[str] = ()) -> None:
        self._service = Service(
            ("--rate", "100000", "--burst", "100000", "--top", "100", *arguments), prefix=[*on_core(core), *prefix]
        )
        self.url = self._service.url
        self.pid = self._service.pid
        self.gauge = Gauge(self._service.pid)
        self.target = target(int(self.url.rsplit(":", 1)[1]))

    def begin(self, audience: ReceiverHandle, rows: int, hz: float, clients: int) -> None:
        play_session(audience, rows, hz)

    def rest(self, audience: ReceiverHandle) -> None:
        audience.play("", 0)

    def stop(self) -> None:
        self._service.stop()


def play_session(audience: ReceiverHandle, rows: int, hz: float) -> None:
    """Have everybody watch a session of so many players, of whom one scores on socket 0."""
    session = f"bench-{rows}"
    for row in reversed(range(rows)):
        # Who joins as another player leaves as the first one, who stays on the board.
        who = {"userId": f"player-{row:02}", "sessionId": session, "username": f"Player {row:02}"}
        audience.tell(
            json.dumps({"type": "join-demo", "data": who | {"secret": access.player_secret()}}),
            json.dumps({"type": "update-score", "data": {"points": 1_000_000 - 1000 * row}}),
            stop=1,
        )
    audience.tell(json.dumps({"type": "watch-demo", "data": {"sessionId": session}}), first=1)
    audience.play('{"type":"update-score","data":{"points":1}}', hz)


def target(port: int, path: str = "/ws", *, hello: Sequence[str] = (), since: str = "sentAt") -> dict[str, Any]:
    """How an audience connects to a plain WebSocket server."""
    return {
        "port": port, "path": path, "engineio": False, "hello": list(hello), "mark": MARK, "since": f'"{since}":',
    }  # fmt: skip


def _plain() -> dict[str, Any]:
    return {key: value for key, value in target(0).items() if key != "port"}


def _socketio() -> dict[str, Any]:
    return _plain() | {"path": SOCKETIO_PATH, "engineio": True, "mark": SOCKETIO_MARK}


@dataclass(frozen=True)
class Competitor:
    """One of those who take part. `start(core)` runs it; it raises `NotHere` where that cannot be."""

    name: str
    label: str
    start: Callable[[int], RunningServer]
    version: Callable[[], dict[str, str]] = field(default=dict)


def _python(module: str, specification: dict[str, Any]) -> Callable[[int], RunningServer]:
    command = [sys.executable, "-m", f"loadtest.bench.peers.{module}"]
    return lambda core: Program(command, core=core, target=specification)


def _start_socketio(core: int) -> RunningServer:
    if find_spec("socketio") is None:
        raise NotHere("python-socketio is not installed")
    return _python("python_socketio", _socketio())(core)


def _start_nchan(core: int) -> RunningServer:
    if nginx_nchan.module() is None or nginx_nchan.program() is None:
        raise NotHere("nginx with the nchan module is not on this machine (Debian: nginx, libnginx-mod-nchan)")
    return _python("nginx_nchan", _plain())(core)


def node_folder() -> Path:
    """Where the packages of Node's contestants are: in the user's cache, outside of any checkout."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "elsa-leaderboard" / "bench"


def _node(file: str, package: str, specification: dict[str, Any]) -> Callable[[int], RunningServer]:
    def start(core: int) -> RunningServer:
        modules = _node_modules(package)
        environment = {"NODE_PATH": str(modules), "NODE_ENV": "production"}
        return Program(["node", str(PEERS / file)], core=core, target=specification, environment=environment)

    return start


def _node_modules(package: str) -> Path:
    """The folder with Node's packages, fetched by npm at the first time. Raises `NotHere`."""
    if shutil.which("node") is None:
        raise NotHere("Node.js is not on this machine")
    folder = node_folder()
    modules = folder / "node_modules"
    if not (modules / package).is_dir():
        if shutil.which("npm") is None:
            raise NotHere(f"npm, which would get {package}, is not on this machine")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NotHere(f"no folder for {package} can be made at {folder} ({error.strerror})") from None
        command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run([*command, *NODE_PACKAGES], capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise NotHere(f"npm could not get {package}: {done.stderr.strip().splitlines()[-1:]}")
    return modules


def _node_version(package: str) -> Callable[[], dict[str, str]]:
    def read() -> dict[str, str]:
        file = node_folder() / "node_modules" / package / "package.json"
        node = cores_and_usage.version_of("node", "--version") or "?"
        return {"node": node.removeprefix("v"), package: json.loads(file.read_text(encoding="utf-8"))["version"]}

    return read


def _nginx_version() -> dict[str, str]:
    said = cores_and_usage.version_of(nginx_nchan.program() or "nginx", "-v") or "?"
    return {"nginx": said.rpartition("/")[2]}


OURS = "this-service"
COMPETITORS: dict[str, Competitor] = {
    one.name: one
    for one in (
        Competitor(OURS, "this service", Ours),
        Competitor("usual", "FastAPI, json.dumps per client", _python("fastapi_usual", _plain())),
        Competitor("encode-once", "FastAPI, encoded once", _python("fastapi_encode_once", _plain())),
        Competitor("websockets", "websockets.broadcast", _python("websockets_broadcast", _plain())),
        Competitor("python-socketio", "python-socketio", _start_socketio),
        Competitor("node-ws", "Node ws", _node("node_ws.cjs", "ws", _plain()), _node_version("ws")),
        Competitor(
            "node-socketio", "Node Socket.IO",
            _node("node_socketio.cjs", "socket.io", _socketio()), _node_version("socket.io"),
        ),
        Competitor("nchan", "nginx nchan", _start_nchan, _nginx_version),
    )
}  # fmt: skip
