"""Every setting, read once into one frozen object. No other module reads or writes the environment.

The command line overrides the environment, which overrides the default. `python -m service` passes
its settings to the serving process through the environment, as a person would set them, so there
is one path into the app however it is started.
"""

from __future__ import annotations

import json
import os
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError
from redis.connection import parse_url

from service.core.local_addresses import folder_of, is_loopback
from service.core.protocol import MAX_POINTS
from service.core.ranking import Ranking

PREFIX = "LEADERBOARD_"


class BadSetting(ValueError):
    """A setting that cannot be used; the text, one line, names it and says what was expected and what came."""


class Settings(BaseSettings):
    """The settings of one service. Each is an option `--name` and a variable `LEADERBOARD_NAME`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", validate_by_name=True)

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
    max_sessions: int = Field(1000, ge=1, description="maximum number of sessions")
    session_ttl: float = Field(86_400, gt=0, description="seconds a session with scores outlives its last connection")
    allowed_origin: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="additional web origin that may connect, like https://lab.example (repeatable)"
    )
    allowed_host: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="host name that the service answers to, besides IP addresses and localhost (repeatable)"
    )
    admin_token: str | None = Field(None, min_length=1, repr=False, description="token required for Populate and Reset")
    open_admin: bool = Field(False, description="allow Populate and Reset without a token")
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
            parts = urlsplit(origin)
            if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path.strip("/"):
                raise ValueError("expected an origin like https://lab.example:8888")
        return origins

    @field_validator("allowed_host")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if "/" in host or urlsplit(f"//{host}").hostname is None:
                raise ValueError("expected a host name like quiz.example, without scheme and path")
        return hosts

    @field_validator("redis_url")
    @classmethod
    def _names_a_store(cls, url: str | None) -> str | None:
        if url is not None and folder_of(url) is None:
            parse_url(url)  # type: ignore[no-untyped-call] # its error text is clear
        return url

    @property
    def listens_on_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_loopback(self.host)

    @classmethod
    def read(cls, **given: Any) -> Settings:
        """The settings from the environment, overridden by the given ones. Raises `BadSetting`."""
        try:
            return cls(**given)
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
            option = f"--{name.replace('_', '-')}" + ("" if name in given else f" (from {PREFIX}{name.upper()})")
            raise BadSetting(f"{option}: {expected}, got {came}") from None
        except SettingsError as error:
            raise BadSetting(str(error)) from None

    @classmethod
    def unknown_variables(cls) -> list[str]:
        """Variables that look like settings but are not: a misspelt name has no effect, so it should be reported."""
        known = {PREFIX + name.upper() for name in cls.model_fields}
        return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)

    def to_environment(self) -> None:
        """Write the given settings into this process's environment, for the processes it starts."""
        for name in self.model_fields_set:
            value = getattr(self, name)
            if value is not None:
                os.environ[PREFIX + name.upper()] = ",".join(value) if isinstance(value, tuple) else str(value)
