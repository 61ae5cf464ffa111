"""nginx, HAProxy and Caddy, each with its file of docs/deploy/, on a free port of loopback before two services."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deploy.deploy_files import DEPLOY, placed
from peer import Peer

from loadtest.target.ports import free_port, is_served
from loadtest.target.processes import WatchedCommand

CERTIFICATE = Path(__file__).with_name("quiz.example.pem")
TRUST = ssl.create_default_context(cafile=str(CERTIFICATE))
PUBLIC = "quiz.example"
STARTS_WITHIN = 10.0  # seconds


class Proxy:
    """A running proxy; `url` is that of the page by the name localhost. `changes` are made to its file first."""

    package = program = file = ""
    asks_whether_ready = True  # whether it sends newcomers elsewhere by itself while a service drains

    def __init__(self, folder: Path, upstreams: tuple[int, int], changes: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.url = f"https://localhost:{self.port}/quiz/"
        self._file = folder / self.file
        self._folder = folder
        self._upstreams = upstreams
        # A checkout's own path may have characters that mean something in these files.
        self._certificate = shutil.copy(CERTIFICATE, folder / "tls.pem")
        text = placed((DEPLOY / self.file).read_text(), changes or {})
        self._file.write_text(placed(text, self._differences()))
        self._process = WatchedCommand(self.program, self._command(), environment=self._environment(), together=True)
        self._wait()

    @classmethod
    def found(cls) -> str | None:
        """The program on this machine, or None."""
        return shutil.which(cls.program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

    @property
    def log(self) -> list[str]:
        """Its last lines."""
        return self._process.log

    def take_out(self, upstream: int) -> None:
        """Tell it to send newcomers elsewhere."""
        raise NotImplementedError

    async def connect(self, name: str = PUBLIC, **options: Any) -> Peer:
        """Connect as the page of this name does, which may have a port."""
        given = {"host": "127.0.0.1", "port": self.port, "ssl": TRUST, "origin": f"https://{name}"} | options
        return await Peer.connect(f"wss://{name}/quiz/ws", **given)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stop()

    def _wait(self) -> None:
        ends = time.monotonic() + STARTS_WITHIN
        while not is_served(self.port):
            if not self._process.alive or time.monotonic() > ends:
                self._process.stop()
                raise RuntimeError(f"{self.program} does not serve:\n" + "\n".join(self._process.log))
            time.sleep(0.02)

    def _differences(self) -> dict[str, str]:
        """What is not the same on this machine."""
        raise NotImplementedError

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _environment(self) -> dict[str, str]:
        return {}


class Nginx(Proxy):
    """It hears of a drain from its operator: the file is changed, and read again."""

    package = program = "nginx"
    file = "nginx.conf"
    asks_whether_ready = False

    def take_out(self, upstream: int) -> None:
        address = f"server 127.0.0.1:{self._upstreams[upstream]}"
        self._file.write_text(placed(self._file.read_text(), {f"{address};": f"{address} down;"}))
        os.kill(self._process.pid, signal.SIGHUP)

    def _differences(self) -> dict[str, str]:
        one, two = self._upstreams
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        places = "".join(f"{kind}_temp_path {self._folder}/{kind}; " for kind in kinds)
        return {
            "/var/log/nginx/error.log": "stderr",
            "http {": f"http {{ access_log off; {places}",
            "listen 443 ssl;": f"listen 127.0.0.1:{self.port} ssl;",
            "/etc/leaderboard/tls.pem": str(self._certificate),
            "/etc/leaderboard/tls.key": str(self._certificate),
            "127.0.0.1:8001": f"127.0.0.1:{one}",
            "127.0.0.1:8002": f"127.0.0.1:{two}",
        }

    def _command(self) -> list[str]:
        user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""  # its workers read folders of the tests
        own = f"daemon off; pid {self._folder}/pid; {user}"
        return [str(self.found()), "-p", str(self._folder), "-c", str(self._file), "-e", "stderr", "-g", own]


class HAProxy(Proxy):
    """It asks /ready."""

    package = program = "haproxy"
    file = "haproxy.cfg"

    def _differences(self) -> dict[str, str]:
        one, two = self._upstreams
        return {
            "    user haproxy\n    group haproxy\n": "",
            "maxconn 16384": "maxconn 1000",  # it takes twice as many files, or does not start
            "bind :443 ssl": f"bind 127.0.0.1:{self.port} ssl",
            "/etc/leaderboard/tls.pem": str(self._certificate),
            "127.0.0.1:8001": f"127.0.0.1:{one}",
            "127.0.0.1:8002": f"127.0.0.1:{two}",
        }

    def _command(self) -> list[str]:
        return [str(self.found()), "-db", "-f", str(self._file)]


class Caddy(Proxy):
    """It asks /ready, and gets its name and the services from its environment."""

    package = program = "caddy"
    file = "Caddyfile"

    def _differences(self) -> dict[str, str]:
        return {
            "admin off": "admin off\n\tauto_https disable_redirects",  # which would need port 80
            "/etc/leaderboard/tls.pem": str(self._certificate),
            "/etc/leaderboard/tls.key": str(self._certificate),
        }

    def _command(self) -> list[str]:
        return [str(self.found()), "run", "--adapter", "caddyfile", "--config", str(self._file)]

    def _environment(self) -> dict[str, str]:
        return {
            "SITE": ", ".join(f"https://{name}:{self.port}" for name in (PUBLIC, "localhost", "127.0.0.1")),
            "UPSTREAMS": " ".join(f"127.0.0.1:{port}" for port in self._upstreams),
            "XDG_DATA_HOME": str(self._folder),
            "XDG_CONFIG_HOME": str(self._folder),
        }


PROXIES = {kind.program: kind for kind in (Nginx, HAProxy, Caddy)}
