"""Every setting, read once into one frozen object. No other module reads or writes the environment.

The command line overrides the environment, which overrides the default. `python -m service` passes
its settings to the serving process through the environment, as a person would set them, so there
is one path into the app however it is started.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from service.core.host_names import HostRule, OriginRule
from service.core.local_addresses import folder_of, is_loopback
from service.core.protocol import MAX_POINTS, admin_token
from service.core.ranking import Ranking

PREFIX = "LEADERBOARD_"
SHORT_TOKEN: Final = 16  # characters; a shorter one can be guessed
# Settings that mean nothing to an app which another server serves.
OF_THE_COMMAND: Final = frozenset({"host", "port", "reload", "log_json", "until_stdin_closes"})
# What Kubernetes sets for a Service named leaderboard, or leaderboard-SOMETHING, in every pod of its namespace.
_OF_KUBERNETES: Final = re.compile(
    PREFIX + r"([A-Z0-9_]+_)?(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
ROOT_PATH: Final = r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)+"
_ENDPOINT: Final = re.compile(r"(tcp|udp|sctp)://\S+")


class BadSetting(ValueError):
    """A setting that cannot be used; the text, one line, names it and says what was expected and what came."""


class Settings(BaseSettings):
    """The settings of one service. Each is an option `--name` and a variable `LEADERBOARD_NAME`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", validate_by_name=True, env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on, 0 for any free one")
    workers: int = Field(1, ge=1, description="processes behind the port; more than one requires Redis")
    reload: bool = Field(False, description="restart when the code changes (for development)")
    redis_url: str | None = Field(
        None,
        validation_alias=AliasChoices(PREFIX + "REDIS_URL", "REDIS_URL"),
        repr=False,
        description="Redis that keeps the scores: redis://, rediss:// or unix://, or one that the service starts: "
        "embedded, or embedded:FOLDER with its data in a folder (default: scores stay in this process)",
    )
    tick_ms: float = Field(
        50, gt=0, le=10_000, description="minimum time between two boards of a session, milliseconds"
    )
    top: int = Field(20, ge=1, le=1000, description="rows of the board that everyone sees")
    ranking: Ranking = Field(Ranking.COMPETITION, description="ranks after a tie: competition 1 2 2 4, dense 1 2 2 3")
    rate: float = Field(20, gt=0, description="frames a second that one connection may send")
    burst: int = Field(40, ge=1, description="frames that one connection may send at once")
    max_points: int = Field(MAX_POINTS, ge=1, le=MAX_POINTS, description="maximum points of one update, of either sign")
    max_connections: int = Field(10_000, ge=1, description="maximum number of open WebSockets per process")
    max_players: int = Field(20_000, ge=1, description="maximum number of players per session")
    max_sessions: int = Field(1000, ge=1, description="maximum number of sessions besides DEMO123")
    session_rate: int = Field(10, ge=1, description="new sessions a minute that one connection may open")
    address_session_rate: int = Field(
        60,
        ge=1,
        description="new sessions a minute that all connections from one address (IPv6: one /64 network) may open; "
        "those from this machine are not counted",
    )
    session_ttl: float = Field(86_400, gt=0, description="seconds a session with scores outlives its last connection")
    allowed_origin: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="additional web origin that may connect, like https://lab.example or https://*.lab.example "
        "(repeatable)",
    )
    allowed_host: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="host name that the service answers to, besides IP addresses and localhost: quiz.example, "
        "*.quiz.example for all below it, or * for all (repeatable)",
    )
    admin_token: str | None = Field(
        None, repr=False, description="token required for Populate, Reset and the host's calls"
    )
    admin_token_file: str | None = Field(
        None, description="file with that token, so that a list of processes does not show it"
    )
    open_admin: bool = Field(False, description="allow Populate, Reset and the host's calls without a token")
    locked_players: bool = Field(
        False, description="let only the one who first plays as a user play as that user, until the session ends"
    )
    root_path: str = Field("", description="path under which a proxy shows the service, like /quiz")
    drain_seconds: float = Field(0, ge=0, description="seconds to keep serving after the signal to stop")
    log_json: bool = Field(False, description="log one JSON object per line")
    until_stdin_closes: bool = Field(False, description="stop when stdin closes (for a parent process)")

    @field_validator("allowed_origin", "allowed_host", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """A list in the environment is separated by commas."""
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("allowed_origin")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            OriginRule.parse(origin)
        return origins

    @field_validator("allowed_host")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            HostRule.parse(host)
        return hosts

    @field_validator("root_path")
    @classmethod
    def _is_a_path(cls, path: str) -> str:
        path = path.rstrip("/")
        if path and not re.fullmatch(ROOT_PATH, path):
            raise ValueError("expected a path like /quiz, of letters, digits and ._~-")
        return path

    @field_validator("redis_url")
    @classmethod
    def _names_a_store(cls, url: str | None) -> str | None:
        if url is not None and folder_of(url) is None:
            _check_redis_url(url)
        return url

    @field_validator("port", mode="before")
    @classmethod
    def _is_no_endpoint(cls, port: Any) -> Any:
        if isinstance(port, str) and _ENDPOINT.fullmatch(port.strip()):
            raise ValueError(
                "expected a port; Kubernetes sets this variable for a Service of that name "
                "(give --port, rename the Service, or set enableServiceLinks: false)"
            )
        return port

    @field_validator("admin_token")
    @classmethod
    def _is_a_token(cls, token: str | None) -> str | None:
        return None if token is None else admin_token(token)

    @property
    def trusted_proxies(self) -> str:
        """The proxies whose headers count, from uvicorn's own variable and by its default."""
        return os.environ.get("FORWARDED_ALLOW_IPS") or "127.0.0.1,::1"

    @property
    def listens_on_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_loopback(self.host)

    @classmethod
    def read(cls, **given: Any) -> Settings:
        """The settings from the environment, overridden by the given ones. Raises `BadSetting`."""
        try:
            settings = cls(**given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0]).removeprefix(PREFIX).lower()
            expected = first["msg"].removeprefix("Value error, ").replace("Input should be", "expected", 1)
            # A token, or an address with a password, is a secret even when it is wrong.
            came = (
                "a value that cannot be shown"
                if name in {"admin_token", "redis_url"}
                else json.dumps(first["input"], default=str)
            )
            option = f"--{name.replace('_', '-')}" + ("" if name in given else f" (from {_variable_of(name)})")
            raise BadSetting(f"{option}: {expected}, got {came}") from None
        except SettingsError as error:
            raise BadSetting(str(error)) from None
        return settings._with_token_of_file()

    def _with_token_of_file(self) -> Settings:
        """The settings with the token that the file holds; it is read once, because it may be a pipe."""
        file = self.admin_token_file
        if file is None:
            return self
        if self.admin_token is not None:
            raise BadSetting("--admin-token: expected a token or --admin-token-file, got both")
        try:
            token = admin_token(Path(file).read_text("utf-8-sig"))
        except OSError as error:
            problem = f"expected a file that can be read ({error.strerror})"
        except UnicodeDecodeError:
            problem = "expected a file of UTF-8 characters"
        except ValueError as error:
            problem = str(error)
        else:
            return self.model_copy(update={"admin_token": token, "admin_token_file": None})
        raise BadSetting(f"--admin-token-file: {problem}, got {json.dumps(file)}")

    @classmethod
    def read_for_app(cls) -> Settings:
        """The settings of an app that another server serves: those of the command are not read. Raises `BadSetting`."""
        return cls.read(**{name: cls.model_fields[name].default for name in OF_THE_COMMAND})

    @classmethod
    def unknown_variables(cls) -> dict[str, str | None]:
        """Variables that look like settings but are not, each with the one that may be meant.

        A misspelt name has no effect, so it should be reported. Kubernetes' own variables are left out.
        """
        known = [PREFIX + name.upper() for name in cls.model_fields]
        ours = (name for name in sorted(os.environ) if name.startswith(PREFIX) and not _OF_KUBERNETES.fullmatch(name))
        return {
            name: next(iter(difflib.get_close_matches(name, known, 1, 0.85)), None)
            for name in ours
            if name not in known
        }

    def to_environment(self) -> None:
        """Write the given settings into this process's environment, for the processes it starts."""
        for name in self.model_fields_set:
            value = getattr(self, name)
            if value is None:
                os.environ.pop(PREFIX + name.upper(), None)
            else:
                os.environ[PREFIX + name.upper()] = ",".join(value) if isinstance(value, tuple) else str(value)


def _variable_of(name: str) -> str:
    """The variable that set the setting."""
    variable = PREFIX + name.upper()
    return "REDIS_URL" if name == "redis_url" and not os.environ.get(variable) else variable


def _check_redis_url(url: str) -> None:
    """Raise ValueError unless the URL says what it seems to say. The text shows nothing of it: it may hold a password.

    An unquoted `/`, `?`, `#` or `@` in a password ends the address early, and a piece of the password would be
    taken for the host; a database with a name would be database 0.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(f"expected HOST:PORT with a number for the port{_QUOTE}") from None
    from redis.connection import parse_url  # noqa: PLC0415 - loaded where there is a Redis

    parse_url(url)  # type: ignore[no-untyped-call] # its error texts are clear
    if parts.scheme == "unix":
        return
    if parts.fragment or "@" in parts.path + parts.query:
        raise ValueError(f"expected no @ after the host, and no #{_QUOTE}")
    if not re.fullmatch(r"(/[0-9]*)?", parts.path):
        raise ValueError("expected a number for the database, as in redis://HOST:6379/0")


_QUOTE: Final = "; in a password, write % / ? # @ as %25 %2F %3F %23 %40"
