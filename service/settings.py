"""Every setting, read once into one frozen object. The only reader, and writer, of the environment.

A value on the command line wins over the environment, which wins over the default. `python -m
service` hands its settings to the process that serves through the environment, the same way a
person would set them, so there is one road into the app however it was started.
"""

from __future__ import annotations

import json
import os
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError
from redis.connection import parse_url

from service.core.addresses import folder_of, is_loopback
from service.core.protocol import MAX_POINTS
from service.core.ranking import Ranking

PREFIX = "LEADERBOARD_"


class BadSetting(ValueError):
    """A setting that cannot be used; the text is one line that says which, what was expected and what came."""


class Settings(BaseSettings):
    """The settings of one service. Each is an option `--name` and a variable `LEADERBOARD_NAME`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", validate_by_name=True)

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on, 0 for any free one")
    workers: int = Field(1, ge=1, description="processes behind the port; more than one need Redis")
    reload: bool = Field(False, description="restart when the code changes (for development)")
    redis_url: str | None = Field(
        None,
        validation_alias=AliasChoices(PREFIX + "REDIS_URL", "REDIS_URL"),
        repr=False,
        description="Redis to keep scores in: redis://, rediss:// or unix://, or one of the service's own, embedded "
        "or embedded:FOLDER with its data in a folder; without, this process keeps them",
    )
    tick_ms: float = Field(50, gt=0, le=10_000, description="least time between two boards of a session, milliseconds")
    top: int = Field(20, ge=1, le=1000, description="rows of the board that everyone sees")
    ranking: Ranking = Field(Ranking.COMPETITION, description="after a tie: competition 1 2 2 4, dense 1 2 2 3")
    rate: float = Field(20, gt=0, description="frames a second and connection")
    burst: int = Field(40, ge=1, description="frames at once and connection")
    max_points: int = Field(MAX_POINTS, ge=1, le=MAX_POINTS, description="most points of one update, either sign")
    max_connections: int = Field(10_000, ge=1, description="open WebSockets of the process")
    max_players: int = Field(20_000, ge=1, description="players of one session")
    max_sessions: int = Field(1000, ge=1, description="sessions at once")
    session_ttl: float = Field(86_400, gt=0, description="seconds a session with scores outlives its last connection")
    allowed_origin: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="web origin, like https://lab.example, that may connect besides the service's own (repeatable)"
    )
    allowed_host: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="host name the service answers to besides addresses and localhost (repeatable)"
    )
    admin_token: str | None = Field(None, min_length=1, repr=False, description="token that Populate and Reset need")
    open_admin: bool = Field(False, description="let everyone Populate and Reset, without a token")
    drain_seconds: float = Field(0, ge=0, description="seconds to go on serving after the signal to stop")
    log_json: bool = Field(False, description="log one JSON object a line")
    until_stdin_closes: bool = Field(False, description="stop when stdin is closed (for a parent process)")

    @field_validator("allowed_origin", "allowed_host", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """A list in the environment is written with commas."""
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
    def _is_redis(cls, url: str | None) -> str | None:
        if url is not None and folder_of(url) is None:
            parse_url(url)  # type: ignore[no-untyped-call] # its own words are clear
        return url

    @property
    def listens_on_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_loopback(self.host)

    @classmethod
    def read(cls, **given: Any) -> Settings:
        """The settings from the environment, with the given ones on top. Raises `BadSetting`."""
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0]).removeprefix(PREFIX).lower()
            expected = first["msg"].removeprefix("Value error, ").replace("Input should be", "expected", 1)
            # A token, or an address with a password, is a secret even when it is a wrong one.
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
        """Variables that look like settings and are none: a misspelt name has no effect, so it should be told."""
        known = {PREFIX + name.upper() for name in cls.model_fields}
        return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)

    def to_environment(self) -> None:
        """Write what was set into the environment of this process, for the processes it starts."""
        for name in self.model_fields_set:
            value = getattr(self, name)
            if value is not None:
                os.environ[PREFIX + name.upper()] = ",".join(value) if isinstance(value, tuple) else str(value)
