"""A service behind a gateway that asks for a header, for a password, and for trust in its own certificate."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from wide import first_of

from loadtest import access

CERTIFICATE = Path(__file__).parent / "transport" / "loopback.pem"
SAMPLE = Path(__file__).parents[2] / "loadtest" / "data" / "quiz_night.csv"
BASIC = b"authorization: basic dXNlcjpww6RzczpAMQ==".lower()  # user:päss:@1
KEY = b"x-gateway-key: a, b"


class Gateway:
    """Passes connections to a service whose first request has the key and the password; says 401 to others."""

    def __init__(self, service: str) -> None:
        parts = urlsplit(service)
        self._target = (parts.hostname, parts.port)
        self.passed = self.refused = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if not {BASIC, KEY} <= set(head.lower().split(b"\r\n")):
            self.refused += 1
            writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            writer.close()
            return
        self.passed += 1
        service = await asyncio.open_connection(*self._target)
        service[1].write(head)
        down = asyncio.create_task(copy(service[0], writer))
        await copy(reader, service[1])
        await down


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


@pytest.fixture
async def gateway(service) -> AsyncIterator[tuple[str, Gateway]]:
    """Its host and port, and the gateway."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    one = Gateway(service.url)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0, ssl=context)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", one
    server.close()


@pytest.mark.starts_process
@pytest.mark.parametrize("command", first_of("run", "replay", "ramp"))
async def test_a_gateway_lets_every_command_in(loadtest, gateway, tmp_path, command) -> None:
    """Header, password and certificate hold for REST calls and WebSockets; no file and no message has the secrets."""
    host, asked = gateway
    short = ["--duration", "1s", "--warm-up", "0s", "--player-rate", "2", "--out", str(tmp_path / "out")]
    arguments = {
        "replay": ["replay", str(SAMPLE), "--speed", "max"],
        "run": ["run", "steady", "--players", "4", *short],
        "ramp": ["ramp", "--from", "4", "--to", "4", "--trials", "1", *short],
    }[command]
    access_options = ["--header", "X-Gateway-Key: a, b", "--ca-file", str(CERTIFICATE)]
    ended = await loadtest(*arguments, "--url", f"https://user:p%C3%A4ss%3A%401@{host}", *access_options)
    assert ended.status in {0, 3, 4}, ended.err
    assert asked.passed > 4
    assert asked.refused == 0
    written = "".join(file.read_text() for file in tmp_path.rglob("*") if file.is_file())
    for secret in ("p%C3%A4ss", "a, b", "user:"):
        assert secret not in ended.out + ended.err + written
    if command == "run":
        assert f"https://{host}" in written


async def test_a_wrong_password_is_refused_in_one_line(loadtest, gateway) -> None:
    """What the gateway answers is said, without the password."""
    host, _ = gateway
    ended = await loadtest("run", "steady", "--url", f"https://user:wrong@{host}", "--ca-file", str(CERTIFICATE))
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert f"https://{host}: GET /health was answered by 401" in ended.err


@pytest.mark.parametrize("command", [("run", "steady"), ("ramp",), ("replay", str(SAMPLE))])
def test_what_cannot_be_sent_is_refused(refuse, tmp_path, command) -> None:
    """A text without a name, two lines, a header of the connection, a file without certificates: status 2."""
    (tmp_path / "empty.pem").touch()
    for option, expected in (
        (["--header", "secret"], "expected NAME:VALUE"),
        (["--header", "A: secret\r\nB: 2"], "expected NAME:VALUE"),
        (["--header", "Host: secret"], "got Host"),
        (["--ca-file", str(tmp_path / "empty.pem")], "no certificate in it"),
        (["--ca-file", str(tmp_path / "none.pem")], "No such file"),
    ):
        ended = refuse(*command, *option)
        assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert expected in ended.err
        assert "secret" not in ended.err


@pytest.mark.parametrize("command", [("run", "steady"), ("ramp",), ("replay", str(SAMPLE))])
def test_a_secret_that_no_service_takes_is_refused(refuse, command) -> None:
    """What was expected, and not the secret: even a wrong one may be a slip in a right one."""
    ended = refuse(*command, "--player-secret", "too short")
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "--player-secret: expected a text that matches ^[A-Za-z0-9_-]{16,64}$" in ended.err
    assert "too short" not in ended.err


def test_a_process_has_one_secret_that_a_service_takes() -> None:
    """Unless it is told another one; processes have different ones."""
    assert access.player_secret() == access.player_secret()
    own = access.player_secret()
    assert access.Access(player_secret=own).player_secret == own
    assert access.new_player_secret() != own


def test_a_url_is_shown_without_its_password() -> None:
    """A host stays as it is, whatever stands before it."""
    assert access.shown("https://user:p@ss@[::1]:8000/a") == "https://[::1]:8000/a"
    assert access.shown("http://127.0.0.1:8000") == "http://127.0.0.1:8000"


@pytest.mark.parametrize("command", [("run", "steady"), ("ramp",), ("replay", str(SAMPLE))])
def test_a_password_that_needs_quoting_is_one_line_without_it(refuse, command) -> None:
    """A raw slash in it would end the host: status 2, what was expected, how to write it, and no piece of it."""
    ended = refuse(*command, "--url", "http://ann:geheim/geheim@127.0.0.1:1")
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "expected a URL like http://127.0.0.1:8000, got 127.0.0.1:1; in a password, write" in ended.err
    assert "geheim" not in ended.err
